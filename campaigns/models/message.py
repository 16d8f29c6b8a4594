"""One contact in one run, who holds it, each try that failed, and receipts that came before their time."""

from datetime import datetime
from typing import Any, cast

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from campaigns.states import QUARANTINED, RARE, RESENT, SMOOTH, MessageStatus
from directory.models import Contact
from project import clock


class MessageQuerySet(models.QuerySet["Message"]):
    """Messages by what can be asked of them."""

    def in_status(self, status: str) -> "MessageQuerySet":
        """Those in that state, by index where there is one."""
        return self.filter(status=status) if status in SMOOTH else self.filter(listed_status=status)

    def waiting(self) -> "MessageQuerySet":
        """Those that wait for their time or their next attempt."""
        return self.in_status(MessageStatus.PENDING)

    def due(self, now: datetime) -> "MessageQuerySet":
        """Those whose time has come."""
        return self.waiting().filter(due_at__lte=now)

    def free_for(self, gateway: str) -> "MessageQuerySet":
        """Those that it may carry: no other one has had them, or it is certain that none has accepted them."""
        uncertain = models.Exists(Attempt.objects.filter(message=models.OuterRef("pk"), uncertain=True))
        return self.filter(Q(gateway=None) | Q(gateway=gateway) | ~uncertain)

    def leased_by(self, token: Any) -> "MessageQuerySet":
        """Those that this lease still holds: the fence around every outcome."""
        return self.filter(status=MessageStatus.SENDING, lease_token=token)

    def to(self, contact: Contact) -> "MessageQuerySet":
        """Those to a contact, and those to its phone alone; few enough to be sorted by hand."""
        return self.filter(Q(contact=contact) | Q(contact=None, phone=contact.phone))

    def learned(self, **values: Any) -> int:
        """Write what was learned of messages that had come to an end before; return how many. See `ended_at`."""
        return self.update(ended_at=Coalesce("ended_at", "changed_at"), changed_at=clock.now(), **values)

    def wait_again(self) -> int:
        """Let them wait as if never tried, and return how many."""
        return self.update(
            status=MessageStatus.PENDING, reason="", attempts=0, leases=0, changed_at=clock.now(), ended_at=None
        )

    def unresolved(self) -> "MessageQuerySet":
        """Those whose outcome nobody knows, and that nobody has sent again."""
        return self.in_status(MessageStatus.UNKNOWN).exclude(reason=RESENT)

    def quarantined(self) -> "MessageQuerySet":
        """Those that were stopped after too many leases without an outcome."""
        return self.in_status(MessageStatus.UNKNOWN).filter(reason=QUARANTINED)


_WAITING = Q(listed_status=MessageStatus.PENDING)


class Message(models.Model):
    """One contact in one run. Its primary key is the gateway's `msgId`: global and never reused.

    `phone`, `text` and `parts` are frozen at the first attempt, so that every retry sends the same payload. A message
    to a single phone, outside any campaign, has them from the start, and no contact.

    Indexes know the state by `listed_status`, which stays the same when a request succeeds: PostgreSQL then writes the
    success beside the row and into no index (a heap-only tuple), at half the cost.

    `gateway` is the one that had it last. If it may have accepted the message, no other one ever gets it.

    When a receipt or a person tells more of a message that has come to an end, `changed_at` moves, and `ended_at` keeps
    when the end was. Figures by day and hour go by it, so that what happened on a day stays there.

    A run has one message for each contact, and one more for each time that a person has sent an unknown one again.
    """

    # Other indexes serve both foreign keys: each one less makes sending faster.
    run = models.ForeignKey("Run", on_delete=models.CASCADE, related_name="messages", db_index=False)
    # Without a constraint in the database, which took half of a freeze: that locks the contacts itself, see `audience`.
    contact = models.ForeignKey(
        Contact, on_delete=models.PROTECT, related_name="messages", null=True, db_index=False, db_constraint=False
    )
    status = models.CharField(_("state"), max_length=11, choices=MessageStatus.choices, default=MessageStatus.PENDING)
    listed_status = models.GeneratedField(
        expression=models.Case(models.When(status__in=SMOOTH, then=None), default=F("status")),
        output_field=models.CharField(max_length=11, null=True),
        db_persist=True,
    )
    due_at = models.DateTimeField(_("due"))
    changed_at = models.DateTimeField(_("last change"), default=now)
    ended_at = models.DateTimeField(null=True, editable=False)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    reason = models.CharField(_("reason"), max_length=40, default="", blank=True)
    phone = models.BigIntegerField(_("phone"), null=True)
    text = models.TextField(_("text"), default="", blank=True)
    parts = models.PositiveSmallIntegerField(_("parts"), default=0)
    # Without an index or a constraint of its own, which each message would pay for.
    resend_of = models.ForeignKey(
        "self", on_delete=models.DO_NOTHING, related_name="+", null=True, db_index=False, db_constraint=False
    )
    gateway = models.ForeignKey(
        "Gateway", on_delete=models.DO_NOTHING, related_name="+", null=True, db_index=False, db_constraint=False
    )
    lease_token = models.UUIDField(null=True)
    leases = models.PositiveSmallIntegerField(default=0)

    objects = MessageQuerySet.as_manager()

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        constraints = [models.UniqueConstraint("contact", "run", Coalesce("resend_of", 0), name="message_once_per_run")]
        indexes = [
            models.Index(fields=["run", "due_at", "id"], condition=_WAITING, name="message_waiting"),
            models.Index(fields=["run", "id"], condition=_WAITING & Q(attempts__gt=0), name="message_again"),
            models.Index(
                fields=["run", "gateway", "due_at"],
                condition=_WAITING & Q(gateway__isnull=False),
                name="message_returned",
            ),
            models.Index(fields=["run", "id"], name="message_listed"),
            models.Index(fields=["phone"], condition=Q(contact=None), name="message_direct"),
            models.Index(
                fields=["run", "listed_status", "id"], condition=Q(listed_status__in=RARE), name="message_rare_status"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pk}"

    @property
    def recipient(self) -> int:
        """The phone it goes to: as frozen, or else as the contact has it now."""
        return self.phone if self.phone is not None else cast("Contact", self.contact).phone

    @property
    def unresolved(self) -> bool:
        """See `MessageQuerySet.unresolved`."""
        return self.status == MessageStatus.UNKNOWN and self.reason != RESENT

    @property
    def quarantined(self) -> bool:
        """See `MessageQuerySet.quarantined`."""
        return self.status == MessageStatus.UNKNOWN and self.reason == QUARANTINED


class Lease(models.Model):
    """A batch of messages that one sender holds; the sweeper takes back what it still holds after `until`."""

    token = models.UUIDField(db_index=True)
    until = models.DateTimeField(db_index=True)
    message_ids = models.JSONField()

    def __str__(self) -> str:
        return f"{self.token}"


class Attempt(models.Model):
    """One try that did not end well. A successful one is told by the message itself.

    `uncertain` says that the gateway may have accepted the message all the same.
    """

    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="failures")
    at = models.DateTimeField(_("time"))
    reason = models.CharField(_("reason"), max_length=40)
    http_status = models.PositiveSmallIntegerField(null=True)
    answer = models.TextField(_("answer"), default="", blank=True)
    duration_ms = models.PositiveIntegerField(default=0)
    uncertain = models.BooleanField(default=False)

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")

    def __str__(self) -> str:
        return f"{self.message_id} · {self.reason}"


class WaitingReceipt(models.Model):
    """A receipt that has come and is not applied yet. Its message may not be sent yet, or not be there at all."""

    gateway = models.CharField(max_length=40)
    message_id = models.BigIntegerField()
    delivered = models.BooleanField()
    reason = models.CharField(max_length=40, default="", blank=True)
    received_at = models.DateTimeField(default=clock.now)
    due_at = models.DateTimeField(default=clock.now, db_index=True)

    def __str__(self) -> str:
        return f"{self.message_id}"
