"""Campaign (the definition), Run (one execution), Message (one contact in one run), Attempt (one try that failed)."""

import hashlib
import json
import re
from datetime import datetime, time
from typing import Any, Final, cast

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q, Sum
from django.db.models.functions import Coalesce
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from campaigns.routing import Route
from campaigns.states import (
    OPEN,
    QUARANTINED,
    RARE,
    RESENT,
    SMOOTH,
    UNFINISHED,
    CampaignStatus,
    MessageStatus,
    Remedy,
    Repeat,
)
from directory.audience import Audience
from directory.models import Contact
from project import clock
from project.vault import SecretField

MAX_TEXT_LENGTH = 1600
MANY: Final = 10_000


class CampaignQuerySet(models.QuerySet["Campaign"]):
    """Campaigns by what can be asked of them."""

    def visible(self) -> "CampaignQuerySet":
        """Those that people made and did not delete."""
        return self.filter(direct=False, deleted_at=None)

    def alive(self) -> "CampaignQuerySet":
        """Those that the clock may still move: scheduled, running or paused."""
        return self.filter(status__in=UNFINISHED)

    def search(self, text: str) -> "CampaignQuerySet":
        """Those whose name holds every word of `text`."""
        found = self
        for word in text.split():
            # SQLite's LIKE ignores the case of ASCII letters only; its REGEXP is Python's own.
            found = found.filter(name__iregex=re.escape(word))
        return found


RECORDED: Final = [
    *("name", "text", "audience", "starts_at", "ends_at", "local_time", "timezone", "window_start", "window_end"),
    *("repeat", "rate_limit", "status", "deleted_at"),
]


class Campaign(models.Model):
    """What to say, to whom, when and how often.

    One that is `direct` is nobody's plan: it holds what its owner sends to single phones, with a run for each day, has
    no recipients of its own, runs for ever, and stands on no list.
    """

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="campaigns",
        verbose_name=_("creator"),
    )
    name = models.CharField(_("name"), max_length=200)
    text = models.TextField(_("text"), max_length=MAX_TEXT_LENGTH)
    audience = models.JSONField(_("audience"), default=dict)
    starts_at = models.DateTimeField(_("start"), default=now)
    ends_at = models.DateTimeField(_("end"))
    local_time = models.BooleanField(_("in each contact’s own time"), default=False)
    timezone = models.CharField(_("time zone"), max_length=64)
    window_start = models.TimeField(_("not before"), null=True, blank=True)
    window_end = models.TimeField(_("not after"), null=True, blank=True)
    repeat = models.CharField(_("repeat"), max_length=8, choices=Repeat.choices, default=Repeat.ONCE)
    rate_limit = models.FloatField(
        _("messages per second at most"), null=True, blank=True, validators=[MinValueValidator(0.01)]
    )
    status = models.CharField(
        _("state"), max_length=9, choices=CampaignStatus.choices, default=CampaignStatus.SCHEDULED
    )
    gateway = models.ForeignKey(
        "Gateway", on_delete=models.PROTECT, related_name="+", verbose_name=_("gateway"), null=True, blank=True
    )
    direct = models.BooleanField(default=False, editable=False)
    fingerprint = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)
    finished_at = models.DateTimeField(_("finished"), null=True, editable=False)
    deleted_at = models.DateTimeField(_("deleted"), null=True, editable=False)

    objects = CampaignQuerySet.as_manager()

    class Meta:
        verbose_name = _("campaign")
        verbose_name_plural = _("campaigns")
        constraints = [
            models.UniqueConstraint(
                fields=["fingerprint"], condition=Q(status__in=UNFINISHED), name="campaign_no_twin"
            ),
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="campaign_ends_after_start"),
            models.CheckConstraint(
                condition=Q(window_start=None, window_end=None)
                | Q(window_start__isnull=False, window_end__isnull=False),
                name="campaign_window_whole",
            ),
        ]
        indexes = [models.Index(fields=["status", "starts_at"], name="campaign_status_start")]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Keep the fingerprint true to text, audience and repeat; a user has one campaign of direct messages."""
        direct = f"direct-{self.owner_id}"
        self.fingerprint = direct if self.direct else fingerprint_of(self.text, self.picks, self.repeat)
        super().save(*args, **kwargs)

    def hold(self) -> bool:
        """Lock the row until the transaction ends, and tell whether nobody has changed it since it was read."""
        same = Campaign.objects.select_for_update().filter(pk=self.pk, updated_at=self.updated_at)
        return bool(list(same.values_list("pk", flat=True)))

    @property
    def picks(self) -> Audience:
        """The audience as a value."""
        return Audience.from_json(self.audience)

    @property
    def retryable(self) -> bool:
        """Whether what failed may be given its attempts anew."""
        begun = (CampaignStatus.RUNNING, CampaignStatus.PAUSED, CampaignStatus.FINISHED)
        return self.deleted_at is None and self.status in begun and self.ends_at > clock.now()

    @property
    def window(self) -> tuple[time, time] | None:
        """The local hours in which a message may leave, or None for all of them."""
        if self.window_start is None or self.window_end is None:
            return None
        return self.window_start, self.window_end


def fingerprint_of(text: str, audience: Audience, repeat: str) -> str:
    """What makes two campaigns twins: the same text to the same audience at the same rhythm (SHA-256, hex)."""
    return hashlib.sha256(json.dumps([text, audience.to_json(), repeat]).encode()).hexdigest()


class RunQuerySet(models.QuerySet["Run"]):
    """Runs by what can be asked of them."""

    def active(self) -> "RunQuerySet":
        """Those that are not finished yet."""
        return self.filter(finished_at=None)

    def sendable(self, route: Route | None = None) -> "RunQuerySet":
        """Those whose messages may leave, each with `first_due`: when the first that waits may; None if none waits.

        With a route, as far as its gateway may carry them.
        """
        moment = clock.now()
        running = self.active().filter(
            Q(ends_at=None) | Q(ends_at__gt=moment),
            campaign__status=CampaignStatus.RUNNING,
            campaign__ends_at__gt=moment,
        )
        if route is None or route.sole:
            return running.annotate(first_due=_first_due(Message.objects.waiting()))
        free = _first_due(Message.objects.waiting().free_for(route.gateway))
        returned = _first_due(Message.objects.waiting().filter(gateway=route.gateway))
        first_due = models.Case(models.When(route.serves(), then=free), default=returned)
        return running.filter(route.serves() | route.visits()).annotate(first_due=first_due)

    def told(self, since: datetime) -> "RunQuerySet":
        """Each with what its counters don't tell, newest first, by one query at a cost that has a bound.

        `ended`: messages that came to an end since that moment, to the minute. Of a run that is not finished:
        `first_due`; `retrying`: messages that wait for another attempt (counted up to `MANY`), and `retry_at`: when
        the first of these may leave.
        """
        minutes = RunMinute.objects.filter(run=models.OuterRef("pk"), minute__gte=since).order_by().values("run")
        ended = minutes.annotate(number=Sum(F("sent") + F("failed"))).values("number")
        again = Message.objects.waiting().filter(run=models.OuterRef("pk"), attempts__gt=0).order_by()[:MANY]
        return self.order_by("-occurrence").annotate(
            ended=Coalesce(models.Subquery(ended), 0),
            first_due=_while_active(_first_due(Message.objects.waiting())),
            retrying=Coalesce(_while_active(_Count(again.values("pk"))), 0),
            retry_at=_while_active(_Earliest(again.values("due_at"))),
        )

    def next_due(self, route: Route | None = None) -> datetime | None:
        """When the first message of these runs may leave."""
        first: datetime | None = self.sendable(route).aggregate(first=models.Min("first_due"))["first"]
        return first

    def backlog_exceeds(self, number: int, route: Route | None = None) -> bool:
        """Whether more than `number` messages of these runs are due now."""
        due = Message.objects.due(clock.now()).filter(run__in=self.sendable(route).values("pk"))
        return due[number:].exists()

    def backlog(self) -> tuple[int, float]:
        """How many messages wait in those of these runs of which one is due, and for how many seconds it has been.

        Read from the runs' counters, for counting the messages would take as long as there are many.
        """
        moment = clock.now()
        waiting = self.sendable().values_list(F("first_due"), "pending")
        late = [(first_due, pending) for first_due, pending in waiting if first_due and first_due <= moment]
        oldest = min((first_due for first_due, _pending in late), default=moment)
        return sum(pending for _first_due, pending in late), (moment - oldest).total_seconds()

    def figures(self) -> dict[str, int]:
        """The counters of all these runs added up, by status, with `total`, `attempts` and `parts`."""
        names = [*MessageStatus.values, "attempts", "parts"]
        sums = self.aggregate(**{f"sum_{name}": Coalesce(Sum(name), 0) for name in names})
        figures = {name: sums[f"sum_{name}"] for name in names}
        return {"total": sum(figures[status] for status in MessageStatus.values), **figures}


def _first_due(waiting: "MessageQuerySet") -> models.Subquery:
    return models.Subquery(waiting.filter(run=models.OuterRef("pk")).order_by("due_at").values("due_at")[:1])


def _while_active(subquery: models.Subquery) -> models.Case:
    return models.Case(models.When(finished_at=None, then=subquery), output_field=subquery.output_field)


class _Count(models.Subquery):
    """How many rows a subquery has; unlike an aggregate it respects its limit."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) AS picked)"
    output_field = models.IntegerField()


class _Earliest(models.Subquery):
    """The least value of a subquery's only column."""

    template = "(SELECT MIN(due_at) FROM (%(subquery)s) AS picked)"
    output_field = models.DateTimeField()


class Run(models.Model):
    """One execution of a campaign, with a counter for each status of its messages.

    The counters change in the same transaction as the messages they count, so that they always add up to the total.

    `replan_from` asks for messages to be planned anew, from that id on; `retry_before` asks that, with them, those that
    failed until then wait again. `remedy` asks that those be made up for that were unknown at `remedy_before`.

    `noted` accepted messages were told to the directory at `noted_at`; while that goes on, it has come to `noted_to`.

    Since `forgotten_at` its messages are removed, or being removed (`retention.py`); the counters stay.

    `reached` is the last message whose first attempt has been recorded: what happened lately, happened just before it.
    """

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="runs")
    occurrence = models.DateTimeField(_("planned for"))
    ends_at = models.DateTimeField(_("superseded"), null=True, help_text=_("when the next run has begun everywhere"))
    started_at = models.DateTimeField(_("started"), default=now)
    joined_at = models.DateTimeField(_("joiners seen until"), null=True)
    finished_at = models.DateTimeField(_("finished"), null=True)
    replan_from = models.BigIntegerField(null=True, editable=False)
    retry_before = models.DateTimeField(null=True, editable=False)
    remedy = models.CharField(max_length=6, choices=Remedy.choices, default="", blank=True, editable=False)
    remedy_before = models.DateTimeField(null=True, editable=False)
    noted = models.PositiveIntegerField(default=0, editable=False)
    noted_at = models.DateTimeField(null=True, editable=False)
    noted_to = models.BigIntegerField(default=0, editable=False)
    reached = models.BigIntegerField(null=True, editable=False)
    forgotten_at = models.DateTimeField(_("messages removed"), null=True, editable=False)

    pending = models.PositiveIntegerField(default=0)
    sending = models.PositiveIntegerField(default=0)
    sent = models.PositiveIntegerField(default=0)
    delivered = models.PositiveIntegerField(default=0)
    undelivered = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    expired = models.PositiveIntegerField(default=0)
    cancelled = models.PositiveIntegerField(default=0)
    unknown = models.PositiveIntegerField(default=0)
    attempts = models.PositiveIntegerField(default=0)
    parts = models.PositiveIntegerField(default=0)

    objects = RunQuerySet.as_manager()

    class Meta:
        verbose_name = _("run")
        verbose_name_plural = _("runs")
        constraints = [models.UniqueConstraint(fields=["campaign", "occurrence"], name="run_once_per_occurrence")]
        indexes = [models.Index(fields=["campaign"], condition=Q(finished_at=None), name="run_active")]

    def __str__(self) -> str:
        return f"{self.campaign} · {self.occurrence:%Y-%m-%d %H:%M}"

    @property
    def deadline(self) -> datetime:
        """No message leaves from here on: the campaign's end, or the next run's beginning."""
        return min(self.ends_at or self.campaign.ends_at, self.campaign.ends_at)

    @property
    def retryable(self) -> bool:
        """Whether messages that came to their end may leave once more."""
        return self.campaign.retryable and clock.now() < self.deadline

    @property
    def total(self) -> int:
        """All messages of the run."""
        return sum(getattr(self, status) for status in MessageStatus.values)

    @property
    def open(self) -> int:
        """Messages that may still leave."""
        return sum(getattr(self, status) for status in OPEN)


class RunMinute(models.Model):
    """What one run did in one minute (UTC): the chart and the rate come from here."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="minutes")
    minute = models.DateTimeField()
    sent = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    retried = models.PositiveIntegerField(default=0)
    delivered = models.PositiveIntegerField(default=0, db_default=0)
    undelivered = models.PositiveIntegerField(default=0, db_default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "minute"], name="run_minute")]

    def __str__(self) -> str:
        return f"{self.run_id} · {self.minute:%H:%M}"


class RunReason(models.Model):
    """How many attempts of one run failed for one reason; those that were repeated count, too."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="reasons", db_index=False)
    reason = models.CharField(max_length=40)
    number = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "reason"], name="run_reason")]

    def __str__(self) -> str:
        return f"{self.run_id} · {self.reason}"


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

    A run has one message for each contact, and one more for each time that a person has sent an unknown one again.
    """

    # Other indexes serve both foreign keys: each one less makes sending faster.
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="messages", db_index=False)
    contact = models.ForeignKey(Contact, on_delete=models.PROTECT, related_name="messages", null=True, db_index=False)
    status = models.CharField(_("state"), max_length=11, choices=MessageStatus.choices, default=MessageStatus.PENDING)
    listed_status = models.GeneratedField(
        expression=models.Case(models.When(status__in=SMOOTH, then=None), default=F("status")),
        output_field=models.CharField(max_length=11, null=True),
        db_persist=True,
    )
    due_at = models.DateTimeField(_("due"))
    changed_at = models.DateTimeField(_("last change"), default=now)
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


class Kind(models.TextChoices):
    """The languages that a gateway may speak."""

    PROBE = "probe", _("JSON over HTTP")
    KANNEL = "kannel", "Kannel"


class GatewayQuerySet(models.QuerySet["Gateway"]):
    """Gateways by what can be asked of them."""

    def known(self) -> "GatewayQuerySet":
        """The one that the settings name, and those that administrators have added."""
        return self.filter(Q(name=settings.GATEWAY) | ~Q(kind=""))


class Gateway(models.Model):
    """How to reach one gateway, and the state of it that all workers share: its breaker and its hold.

    Where the settings describe it, `kind` is empty, and so is the rest of how to reach it. `fallback` gets its messages
    while it is stopped.

    `open_until` set means the breaker is open and nothing leaves, save one probe at a time after that moment.
    """

    name = models.CharField(_("name"), primary_key=True, max_length=40)
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices, default="", db_default="", blank=True)
    url = models.CharField(_("address"), max_length=500, default="", db_default="", blank=True)
    username = models.CharField(_("user"), max_length=100, default="", db_default="", blank=True)
    secret = SecretField(_("token or password"), default="", db_default="", blank=True)
    concurrency = models.PositiveIntegerField(_("requests at a time"), null=True, blank=True)
    rate = models.FloatField(_("messages per second at most"), null=True, blank=True)
    active = models.BooleanField(_("active"), default=True, db_default=True)
    fallback = models.ForeignKey("self", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    failures = models.PositiveIntegerField(_("failures in a row"), default=0)
    opened_at = models.DateTimeField(_("stopped since"), null=True)
    open_until = models.DateTimeField(_("next probe"), null=True)
    openings = models.PositiveIntegerField(_("failed probes in a row"), default=0)
    alert = models.CharField(_("alert"), max_length=200, default="", blank=True)
    held_until = models.DateTimeField(_("held until"), null=True)

    objects = GatewayQuerySet.as_manager()

    class Meta:
        verbose_name = _("gateway")
        verbose_name_plural = _("gateways")

    def __str__(self) -> str:
        return self.name

    @property
    def stopped(self) -> bool:
        """Whether its messages are the fallback's to send."""
        return self.open_until is not None or not self.active


class GatewayHour(models.Model):
    """What one gateway did in one hour (UTC): attempts by how they ended, and receipts."""

    gateway = models.CharField(max_length=40)
    hour = models.DateTimeField()
    sent = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    retried = models.PositiveIntegerField(default=0)
    delivered = models.PositiveIntegerField(default=0)
    undelivered = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["gateway", "hour"], name="gateway_hour")]

    def __str__(self) -> str:
        return f"{self.gateway} · {self.hour:%d %H}"


class Pace(models.Model):
    """When the next message may leave, for one gateway or one campaign: the whole state of a rate limit."""

    key = models.CharField(primary_key=True, max_length=60)
    next_at = models.FloatField(help_text=_("seconds since the epoch"))

    def __str__(self) -> str:
        return self.key
