"""Messages from phones."""

from typing import Final

from django.db import models
from django.db.models import Q

from campaigns.models.message import MAX_PROVIDER_ID, Message
from directory.models import Contact
from project.core import clock

MAX_ADDRESS: Final = 40


class IncomingQuerySet(models.QuerySet["IncomingMessage"]):
    """Queries for incoming messages."""

    def unprocessed(self) -> "IncomingQuerySet":
        """Messages that no worker has looked at yet."""
        return self.filter(processed_at=None)


class IncomingMessage(models.Model):
    """A message that a gateway has received from a phone.

    `sender` is as the gateway has it; `phone` is null if that is none. `contact` had this phone when the message came.
    `fingerprint` is the same for the same message that is reported again. `action` is what the message asks for, by its
    keyword, and `answer` is the message that has confirmed it; see `campaigns.messages.replies`.
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
        Contact, on_delete=models.SET_NULL, related_name="incoming", null=True, db_constraint=False, db_index=False
    )
    processed_at = models.DateTimeField(null=True)
    action = models.CharField(max_length=5, default="", db_default="", blank=True)
    # The code before this column removes messages without looking here.
    answer = models.ForeignKey(
        Message, on_delete=models.DO_NOTHING, related_name="+", null=True, db_index=False, db_constraint=False
    )

    objects = IncomingQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["fingerprint"], name="incoming_once")]
        indexes = [
            models.Index(fields=["phone", "id"], name="incoming_phone"),
            # Timelines read both in the order of time.
            models.Index(fields=["phone", "received_at", "id"], name="incoming_phone_time"),
            models.Index(fields=["contact", "received_at", "id"], name="incoming_contact_time"),
            models.Index(fields=["id"], condition=Q(processed_at=None), name="incoming_unprocessed"),
            models.Index(fields=["phone", "processed_at"], condition=Q(answer__isnull=False), name="incoming_answered"),
        ]

    def __str__(self) -> str:
        return f"{self.pk}"
