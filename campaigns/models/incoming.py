"""Messages from phones."""

from typing import Final

from django.db import models

from campaigns.models.message import MAX_PROVIDER_ID
from directory.models import Contact
from project.core import clock

MAX_ADDRESS: Final = 40


class IncomingMessage(models.Model):
    """A message that a gateway has received from a phone.

    `sender` is as the gateway has it; `phone` is null if that is none. `contact` had this phone when the message came.
    `fingerprint` is the same for the same message that is reported again.
    """

    gateway = models.CharField(max_length=40)
    provider_id = models.CharField(max_length=MAX_PROVIDER_ID, default="", blank=True)
    fingerprint = models.CharField(max_length=64)
    phone = models.BigIntegerField(null=True)
    sender = models.CharField(max_length=MAX_ADDRESS)
    recipient = models.CharField(max_length=MAX_ADDRESS, default="", blank=True)
    text = models.TextField(default="", blank=True)
    sent_at = models.DateTimeField(null=True)
    received_at = models.DateTimeField(default=clock.now, db_index=True)
    # Without a constraint in the database: the code before this table deletes contacts without looking here.
    contact = models.ForeignKey(
        Contact, on_delete=models.SET_NULL, related_name="incoming", null=True, db_constraint=False
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["fingerprint"], name="incoming_once")]
        indexes = [models.Index(fields=["phone", "id"], name="incoming_phone")]

    def __str__(self) -> str:
        return f"{self.pk}"
