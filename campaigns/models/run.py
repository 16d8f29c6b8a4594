"""Runs (executions of campaigns) and their counters: in total, by minute, and by reason of failure."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from django.db import models
from django.db.models import F, Q, Sum, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce, Least, NullIf
from django.utils.translation import gettext_lazy as _

from campaigns.gateways.routing import Route
from campaigns.models.campaign import Campaign
from campaigns.models.message import Message, MessageQuerySet
from campaigns.states import OPEN, CampaignStatus, MessageStatus, Resolution
from project.core import clock
from project.core.clock import now

MAX_COUNTED: Final = 10_000
_NEVER: Final = datetime(9999, 1, 1, tzinfo=UTC)
NOTHING_OPEN: Final = Q(**dict.fromkeys(OPEN, 0))
"""Runs whose messages have all ended."""


class RunQuerySet(models.QuerySet["Run"]):
    """Queries for runs."""

    def planned(self) -> "RunQuerySet":
        """Runs of campaigns that users created."""
        return self.filter(campaign__transactional=False)

    def active(self) -> "RunQuerySet":
        """Runs that are not finished."""
        return self.filter(finished_at=None)

    def sendable(self, route: Route | None = None) -> "RunQuerySet":
        """Runs whose messages may be sent. `first_due` is the first due time of their pending messages, or None.

        With a route, only messages that its gateway may send count.
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
        routed = _earliest([_first_due(messages) for messages in Message.objects.waiting().carried_by(route)])
        cases = (models.When(routed=True, then=routed), models.When(route.runs_served(), then=free))
        return running.filter(Q(routed=True) | route.runs_served() | route.runs_recovered()).annotate(
            first_due=models.Case(*cases, default=returned)
        )

    def with_progress(self, since: datetime) -> "RunQuerySet":
        """Runs, newest first, with figures that counters don't have; one query at a bounded cost.

        `ended`: messages that ended since `since`, to the minute. For a run that is not finished also: `first_due`;
        `retrying`: messages that wait for another attempt (counted up to `MAX_COUNTED`); `retry_at`: the first time
        at which one of these is due.
        """
        minutes = RunMinute.objects.filter(run=models.OuterRef("pk"), minute__gte=since).order_by().values("run")
        ended = minutes.annotate(number=Sum(F("sent") + F("failed"))).values("number")
        retried = Message.objects.waiting().filter(run=models.OuterRef("pk"), attempts__gt=0).order_by()[:MAX_COUNTED]
        return self.order_by("-occurrence").annotate(
            ended=Coalesce(models.Subquery(ended), 0),
            first_due=_while_active(_first_due(Message.objects.waiting())),
            retrying=Coalesce(_while_active(_Count(retried.values("pk"))), 0),
            retry_at=_while_active(_Earliest(retried.values("due_at"))),
        )

    def next_due(self, route: Route | None = None) -> datetime | None:
        """The first time at which a message of these runs is due."""
        first: datetime | None = self.sendable(route).aggregate(first=models.Min("first_due"))["first"]
        return first

    def backlog_exceeds(self, number: int, route: Route | None = None) -> bool:
        """Whether more than `number` messages of these runs are due now."""
        due = Message.objects.due(clock.now()).filter(run__in=self.sendable(route).values("pk"))
        if route is not None and not route.sole:
            due = due.filter(Q(run__routed=False) | Q(route__in=route.served))
        return due[number:].exists()

    def backlog(self) -> tuple[int, float]:
        """The number of pending messages in runs with a due message, and for how many seconds the oldest has been due.

        The number comes from the runs' counters, because counting messages takes longer the more there are.
        """
        moment = clock.now()
        pending_runs = self.sendable().values_list(F("first_due"), "pending")
        overdue = [(first_due, pending) for first_due, pending in pending_runs if first_due and first_due <= moment]
        oldest = min((first_due for first_due, _pending in overdue), default=moment)
        return sum(pending for _first_due, pending in overdue), (moment - oldest).total_seconds()

    def figures(self) -> dict[str, int]:
        """The sums of these runs' counters by status, with `total`, `attempts` and `parts`."""
        counters = [*MessageStatus.values, "attempts", "parts"]
        sums = self.aggregate(**{f"sum_{name}": Coalesce(Sum(name), 0) for name in counters})
        figures = {name: sums[f"sum_{name}"] for name in counters}
        return {"total": sum(figures[status] for status in MessageStatus.values), **figures}


def _first_due(waiting: MessageQuerySet) -> models.Subquery:
    return models.Subquery(waiting.filter(run=models.OuterRef("pk")).order_by("due_at").values("due_at")[:1])


def _earliest(moments: Sequence[models.Subquery]) -> Combinable:
    """The first of these moments; those that are null do not count."""
    if len(moments) == 1:
        return moments[0]
    never = Value(_NEVER, output_field=models.DateTimeField())
    return NullIf(Least(*(Coalesce(moment, never) for moment in moments)), never)


def _while_active(subquery: models.Subquery) -> models.Case:
    return models.Case(models.When(finished_at=None, then=subquery), output_field=subquery.output_field)


class _Count(models.Subquery):
    """The number of rows of a subquery; unlike an aggregate it respects the limit."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) AS picked)"
    output_field = models.IntegerField()


class _Earliest(models.Subquery):
    """The minimum of a subquery's only column."""

    template = "(SELECT MIN(due_at) FROM (%(subquery)s) AS picked)"
    output_field = models.DateTimeField()


class Run(models.Model):
    """One execution of a campaign, with a counter for each status of its messages.

    The counters change in the same transaction as the messages they count, so they always add up to the total.

    `replan_from` is a mark to plan messages again, from that id on. With `retry_before`, messages that failed until
    then become pending, too. `resolution` is a mark to resolve the messages that were unknown at `resolution_before`.

    `contacted_messages` is the number of accepted messages that "last contacted" included at `contacted_updated_at`.
    During an update, `contacted_to` is the last processed message id.

    From `forgotten_at` on, its messages are removed or being removed (`retention.py`); the counters stay.

    `cost` is the price of the messages that the gateway accepted or may have accepted, `reserved_cost` that of those
    being sent, both in micros (see `project.core.money`).

    `routed`: each message names the gateway that carries its number. Otherwise all go by the campaign's gateway.

    `reached` is the last message whose first attempt is recorded. The latest changes are near this id.
    """

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="runs")
    occurrence = models.DateTimeField(_("planned for"))
    ends_at = models.DateTimeField(
        _("superseded"), null=True, help_text=_("when the next run has started in all time zones")
    )
    started_at = models.DateTimeField(_("started"), default=now)
    joined_at = models.DateTimeField(_("new contacts included until"), null=True)
    finished_at = models.DateTimeField(_("finished"), null=True)
    replan_from = models.BigIntegerField(null=True, editable=False)
    retry_before = models.DateTimeField(null=True, editable=False)
    resolution = models.CharField(
        max_length=6, choices=Resolution.choices, default="", blank=True, editable=False, db_column="remedy"
    )
    resolution_before = models.DateTimeField(null=True, editable=False, db_column="remedy_before")
    contacted_messages = models.PositiveIntegerField(default=0, editable=False, db_column="noted")
    contacted_updated_at = models.DateTimeField(null=True, editable=False, db_column="noted_at")
    contacted_to = models.BigIntegerField(default=0, editable=False, db_column="noted_to")
    reached = models.BigIntegerField(null=True, editable=False)
    routed = models.BooleanField(default=False, db_default=False, editable=False)
    forgotten_at = models.DateTimeField(_("messages deleted"), null=True, editable=False)

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
    cost = models.BigIntegerField(default=0, db_default=0)
    reserved_cost = models.BigIntegerField(default=0, db_default=0)

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
        """When sending stops: at the campaign's end, or when the next run begins."""
        return min(self.ends_at or self.campaign.ends_at, self.campaign.ends_at)

    @property
    def retryable(self) -> bool:
        """Whether ended messages may be sent again."""
        return self.campaign.retryable and clock.now() < self.deadline

    @property
    def total(self) -> int:
        """All messages of the run."""
        return sum(getattr(self, status) for status in MessageStatus.values)

    @property
    def open(self) -> int:
        """Messages that may still be sent."""
        return sum(getattr(self, status) for status in OPEN)


class RunMinute(models.Model):
    """The counters of one run in one minute (UTC), for the chart and the rate."""

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
    """The number of a run's attempts that failed for one reason, including those that were retried."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="reasons", db_index=False)
    reason = models.CharField(max_length=40)
    number = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "reason"], name="run_reason")]

    def __str__(self) -> str:
        return f"{self.run_id} · {self.reason}"
