"""One execution of a campaign, and its counters: of all its time, by minute, and by reason of failure."""

from datetime import datetime
from typing import Final

from django.db import models
from django.db.models import F, Q, Sum
from django.db.models.functions import Coalesce
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from campaigns.models.campaign import Campaign
from campaigns.models.message import Message, MessageQuerySet
from campaigns.routing import Route
from campaigns.states import OPEN, CampaignStatus, MessageStatus, Remedy
from project import clock

MANY: Final = 10_000


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


def _first_due(waiting: MessageQuerySet) -> models.Subquery:
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
