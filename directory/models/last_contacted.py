"""When contacts were last sent a message."""

from django.db import models


class LastContacted(models.Model):
    """When the latest message to a contact was accepted. Sending updates it in batches.

    A separate table, because an update of the contact's row would update all its indexes.
    """

    contact = models.OneToOneField(
        "directory.Contact", on_delete=models.CASCADE, primary_key=True, related_name="last_contacted"
    )
    at = models.DateTimeField()

    class Meta:
        db_table = "directory_lastwritten"
        # Audiences are counted from this index alone.
        indexes = [models.Index(fields=["contact", "at"], name="last_written")]

    def __str__(self) -> str:
        return f"{self.contact_id} · {self.at:%Y-%m-%d %H:%M}"
