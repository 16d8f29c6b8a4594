"""Messages, the providers' ids of them, leases, failed attempts, and receipts that are not applied yet."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, cast

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from campaigns.gateways.routing import Route
from campaigns.gateways.senders import MAX_LENGTH
from campaigns.states import CHARGED, QUARANTINED, RARE, RESENT, SUCCESS_PATH, MessageStatus
from directory.models import Contact
from project.core import clock
from project.core.clock import now

if TYPE_CHECKING:
    from campaigns.models.run import Run


class MessageQuerySet(models.QuerySet["Message"]):
    """Queries for messages."""

    def in_status(self, status: str) -> "MessageQuerySet":
        """Messages in that status, found by index where there is one."""
        return self.filter(status=status) if status in SUCCESS_PATH else self.filter(listed_status=status)

    def waiting(self) -> "MessageQuerySet":
        """Messages that wait for their due time or their next attempt."""
        return self.in_status(MessageStatus.PENDING)

    def due(self, now: datetime) -> "MessageQuerySet":
        """Pending messages that are due."""
        return self.waiting().filter(due_at__lte=now)

    def free_for(self, gateway: str) -> "MessageQuerySet":
        """Messages that this gateway may send: no other gateway may have accepted them."""
        uncertain = models.Exists(Attempt.objects.filter(message=models.OuterRef("pk"), uncertain=True))
        return self.filter(Q(gateway=None) | Q(gateway=gateway) | ~uncertain)

    def carried_by(self, route: Route) -> "list[MessageQuerySet]":
        """Messages of routed runs that this route's gateway may send: one query for each gateway that it serves.

        A query for all of them would have to sort them.
        """
        served = [self.filter(route=name).free_for(route.gateway) for name in sorted(route.served)]
        return [*served, *(self.filter(route=name, gateway=route.gateway) for name in sorted(route.recovered))]

    def leased_by(self, token: Any) -> "MessageQuerySet":
        """Messages that this lease still holds: the fence for writing outcomes."""
        return self.filter(status=MessageStatus.SENDING, lease_token=token)

    def to(self, contact: Contact) -> "MessageQuerySet":
        """Messages to a contact, and transactional messages to its phone; few enough to sort without an index."""
        return self.filter(Q(contact=contact) | Q(contact=None, phone=contact.phone))

    def update_ended(self, moment: datetime, **values: Any) -> int:
        """Update messages that had ended before, keeping the time of the end in `ended_at`; return how many."""
        return self.update(ended_at=Coalesce("ended_at", "changed_at"), changed_at=moment, **values)

    def transactional_of(self, owner: User) -> "MessageQuerySet":
        """The transactional messages of a user."""
        return self.filter(run__campaign__owner=owner, run__campaign__transactional=True)

    def reset_to_pending(self) -> int:
        """Make them pending as if never attempted; return how many."""
        return self.update(
            status=MessageStatus.PENDING, reason="", attempts=0, leases=0, changed_at=clock.now(), ended_at=None
        )

    def unresolved(self) -> "MessageQuerySet":
        """Unknown messages that nobody has resent."""
        return self.in_status(MessageStatus.UNKNOWN).exclude(reason=RESENT)


_WAITING = Q(listed_status=MessageStatus.PENDING)
MAX_PROVIDER_ID: Final = 100


class Message(models.Model):
    """One contact in one run. Its primary key is the gateway's `msgId`: global and never reused.

    `phone`, `text` and `parts` are frozen at the first attempt, so that every retry sends the same payload. A
    transactional message has them from the start, and no contact. `sender` is frozen, too, but another gateway chooses
    its own. Before the first attempt it is the one that a user has chosen for a transactional message.

    Indexes use `listed_status`, which does not change when a request succeeds. PostgreSQL then writes a success as a
    heap-only tuple, without touching an index, at half the cost.

    `gateway` is the last one that got the message. If it may have accepted the message, no other one ever gets it.

    When a receipt or a user changes a message that has ended, `changed_at` moves and `ended_at` keeps the time of the
    end. Figures by day and hour use `ended_at`, so they do not move to another day.

    A run has one message for each contact, and one more for each time that a user has resent an unknown one.
    """

    # Other indexes serve both foreign keys; fewer indexes make sending faster.
    run = models.ForeignKey("Run", on_delete=models.CASCADE, related_name="messages", db_index=False)
    # No constraint in the database: it took half the time of a freeze, which locks the contacts (see `recipients`).
    contact = models.ForeignKey(
        Contact, on_delete=models.PROTECT, related_name="messages", null=True, db_index=False, db_constraint=False
    )
    status = models.CharField(_("status"), max_length=11, choices=MessageStatus.choices, default=MessageStatus.PENDING)
    listed_status = models.GeneratedField(
        expression=models.Case(models.When(status__in=SUCCESS_PATH, then=None), default=F("status")),
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
    # No index or constraint of its own: each message would pay for it.
    resend_of = models.ForeignKey(
        "self", on_delete=models.DO_NOTHING, related_name="+", null=True, db_index=False, db_constraint=False
    )
    gateway = models.ForeignKey(
        "Gateway", on_delete=models.DO_NOTHING, related_name="+", null=True, db_index=False, db_constraint=False
    )
    # The gateway that carries its number, where the gateways take different numbers; null: the campaign's.
    route = models.CharField(max_length=40, null=True)  # noqa: DJ001
    # Its price in micros, set with each lease; null if no price is known.
    cost = models.BigIntegerField(null=True)
    sender = models.CharField(_("sender name"), max_length=MAX_LENGTH, null=True)  # noqa: DJ001
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
            models.Index(
                fields=["run", "route", "due_at", "id"],
                condition=_WAITING & Q(route__isnull=False),
                name="message_routed",
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
        """The phone that it is sent to: as frozen, or else the contact's current one."""
        return self.phone if self.phone is not None else cast("Contact", self.contact).phone

    @property
    def charged(self) -> int | None:
        """What it has cost in micros; None if that is not known, or it was not accepted."""
        return self.cost if self.status in CHARGED else None

    @property
    def provider_id_list(self) -> list[str]:
        """Its ids at the provider, in the order in which they are stored; for one message, or prefetched."""
        return [row.provider_id for row in sorted(self.provider_ids.all(), key=lambda row: row.pk)]

    @property
    def planned_run(self) -> "Run | None":
        """Its run; None for a transactional message, because its campaign is hidden."""
        return None if self.run.campaign.transactional else self.run

    @property
    def unresolved(self) -> bool:
        """See `MessageQuerySet.unresolved`."""
        return self.status == MessageStatus.UNKNOWN and self.reason != RESENT

    @property
    def quarantined(self) -> bool:
        """Whether it was stopped after too many leases without an outcome."""
        return self.status == MessageStatus.UNKNOWN and self.reason == QUARANTINED


class Lease(models.Model):
    """A batch of messages that one sender holds until `until`; then the rescuer takes back the rest."""

    token = models.UUIDField(db_index=True)
    until = models.DateTimeField(db_index=True)
    message_ids = models.JSONField()

    def __str__(self) -> str:
        return f"{self.token}"


class Attempt(models.Model):
    """A failed attempt. A successful one has no row: the message shows it.

    `uncertain` means that the gateway may have accepted the message nevertheless.
    """

    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="failures")
    at = models.DateTimeField(_("time"))
    reason = models.CharField(_("reason"), max_length=40)
    http_status = models.PositiveSmallIntegerField(null=True)
    answer = models.TextField(_("response"), default="", blank=True)
    duration_ms = models.PositiveIntegerField(default=0)
    uncertain = models.BooleanField(default=False)

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")

    def __str__(self) -> str:
        return f"{self.message_id} · {self.reason}"


class ProviderId(models.Model):
    """A provider's own id of a message that it has accepted, or of one part of it.

    A table of its own keeps that of messages narrow. `delivered` is set for messages of several ids only: what became
    of this part; null: nothing final yet. `pull_at` is when to ask the provider for its receipt; null: never.
    """

    gateway = models.CharField(max_length=40)
    provider_id = models.CharField(max_length=MAX_PROVIDER_ID)
    # Without a constraint in the database, a batch of ids needs no look at each message.
    message = models.ForeignKey(Message, on_delete=models.DO_NOTHING, related_name="provider_ids", db_constraint=False)
    delivered = models.BooleanField(null=True)
    pull_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["provider_id", "gateway"], name="provider_id_once")]
        indexes = [
            models.Index(fields=["gateway", "pull_at"], condition=Q(pull_at__isnull=False), name="provider_id_pull")
        ]

    def __str__(self) -> str:
        return self.provider_id


class WaitingReceipt(models.Model):
    """A receipt that is not applied yet. Its message may not be recorded as sent yet, or may not exist.

    It names its message by our id, by the provider's, or by both. `cost` is what the gateway says that the message has
    cost, in micros.
    """

    gateway = models.CharField(max_length=40)
    message_id = models.BigIntegerField(null=True)
    provider_id = models.CharField(max_length=MAX_PROVIDER_ID, db_default="", default="")
    delivered = models.BooleanField()
    reason = models.CharField(max_length=40, default="", blank=True)
    cost = models.BigIntegerField(null=True)
    received_at = models.DateTimeField(default=clock.now)
    due_at = models.DateTimeField(default=clock.now, db_index=True)

    def __str__(self) -> str:
        return f"{self.message_id or self.provider_id}"
