"""The contents of a daily or weekly report: messages, cost, reasons of failures, and upcoming starts. From counters."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from accounts.models import User
from campaigns.models import Campaign, CampaignQuerySet, Message, RunCost, RunMinute
from campaigns.planning.recurrence import occurrences
from campaigns.states import CampaignStatus, MessageStatus, Repeat
from campaigns.wording import reason_words
from project.core.clock import now
from reports.analytics.periods import between
from reports.emails.schedule import DAY, DAYS, bounds
from reports.models import ReportFrequency

MAX_LISTED: Final = 20
_REASONS_SHOWN: Final = 3
_CANDIDATES: Final = 500


@dataclass(frozen=True)
class Reason:
    """A reason of failures in words, and the number of messages."""

    words: str
    number: int


@dataclass(frozen=True)
class Line:
    """One campaign's figures in the period; `cost` in micros, see `project.core.money`."""

    campaign: Campaign
    sent: int
    failed: int
    retried: int
    cost: int
    reasons: list[Reason]


@dataclass(frozen=True)
class Start:
    """A planned start of a campaign."""

    campaign: Campaign
    at: datetime


@dataclass(frozen=True)
class Section:
    """The figures of one user, or of the whole installation.

    `number` is the number of campaigns that sent something. `lines` also counts each user's transactional messages as
    one. `campaigns` are the first of these lines.
    """

    sent: int
    failed: int
    retried: int
    cost: int
    number: int
    lines: int
    campaigns: list[Line]
    starts: list[Start]

    @property
    def empty(self) -> bool:
        """Whether there are no figures and no starts."""
        return not (self.lines or self.starts)

    @property
    def more(self) -> int:
        """The number of lines that are not listed."""
        return self.lines - len(self.campaigns)


@dataclass(frozen=True)
class Digest:
    """The contents of a report from `first` to `last`, which are days in the user's zone."""

    frequency: ReportFrequency
    first: date
    last: date
    own: Section
    everything: Section | None
    """The whole installation's figures, for administrators."""

    @property
    def main_section(self) -> Section:
        """The first section: the user's own figures, or the whole installation's if the user has none."""
        return self.everything if self.everything is not None and self.own.empty else self.own

    @property
    def empty(self) -> bool:
        """Whether there are no figures and no starts."""
        return self.own.empty and (self.everything is None or self.everything.empty)


def digest_of(user: User, frequency: ReportFrequency, day: date) -> Digest:
    """The user's report of `day`, or of the week that ends on it, in the active language."""
    since, until = bounds(frequency, day, user.timezone)
    own = _section(Campaign.objects.filter(owner=user), since, until, DAYS[frequency])
    everything = _section(Campaign.objects.all(), since, until, DAYS[frequency]) if user.is_staff else None
    return Digest(frequency, day - (DAYS[frequency] - 1) * DAY, day, own, everything)


def _section(campaigns: CampaignQuerySet, since: datetime, until: datetime, days: int) -> Section:
    minutes = RunMinute.objects.filter(minute__gte=since, minute__lt=until, run__campaign__in=campaigns)
    sums = {f"all_{name}": Coalesce(Sum(name), 0) for name in ("sent", "failed", "retried")}
    total = minutes.aggregate(
        **sums,
        number=Count("run__campaign", distinct=True, filter=Q(run__campaign__transactional=False)),
        lines=Count("run__campaign", distinct=True),
    )
    rows = minutes.order_by().values("run__campaign").annotate(**sums)
    top = rows.order_by(F("all_sent").desc(), "-run__campaign").values_list("run__campaign", *sums)[:MAX_LISTED]
    figures = {pk: (sent, failed, retried) for pk, sent, failed, retried in top}
    found = Campaign.objects.select_related("owner").in_bulk(figures)
    reasons = _reasons(minutes.filter(failed__gt=0, run__campaign__in=found), since, until)
    costs = _costs(campaigns, since, until)
    lines = [Line(found[pk], *numbers, costs[pk], reasons[pk]) for pk, numbers in figures.items()]
    starts = _starts(campaigns, since=now(), until=until + timedelta(days=days))
    sent, failed, retried, number, all_lines = (total[name] for name in (*sums, "number", "lines"))
    return Section(sent, failed, retried, costs.total(), number, all_lines, lines, starts)


def _costs(campaigns: CampaignQuerySet, since: datetime, until: datetime) -> Counter[int]:
    """What each of these campaigns has cost in the period."""
    rows = between(RunCost.objects.filter(run__campaign__in=campaigns), since, until).order_by()
    return Counter({pk: int(cost) for pk, cost in rows.values_list("run__campaign").annotate(Sum("cost"))})


def _reasons(minutes: QuerySet[RunMinute], since: datetime, until: datetime) -> dict[int, list[Reason]]:
    """The most frequent reasons of each campaign's messages that failed in the period and were not retried."""
    found: dict[int, list[Reason]] = defaultdict(list)
    runs = list(minutes.order_by().values_list("run", flat=True).distinct())
    ended = Message.objects.in_status(MessageStatus.FAILED).annotate(ended=Coalesce("ended_at", "changed_at"))
    failed = ended.filter(run__in=runs, ended__gte=since, ended__lt=until)
    rows = failed.order_by().values("run__campaign", "reason").annotate(number=Count("pk"))
    for row in rows.order_by("-number", "reason"):
        reasons = found[row["run__campaign"]]
        if len(reasons) < _REASONS_SHOWN:
            reasons.append(Reason(reason_words(row["reason"]), row["number"]))
    return found


def _starts(campaigns: CampaignQuerySet, since: datetime, until: datetime) -> list[Start]:
    """Planned starts in the period, earliest first."""
    visible = campaigns.visible().select_related("owner").filter(ends_at__gt=since, starts_at__lt=until)
    once = visible.filter(status=CampaignStatus.SCHEDULED, starts_at__gte=since, repeat=Repeat.ONCE)
    repeated = visible.filter(status__in=(CampaignStatus.SCHEDULED, CampaignStatus.RUNNING)).exclude(repeat=Repeat.ONCE)
    candidates = [*once.order_by("starts_at")[:MAX_LISTED], *repeated.order_by("-pk")[:_CANDIDATES]]
    starts = [Start(row, at) for row in candidates for at in _within(row, since, until)]
    return sorted(starts, key=lambda start: (start.at, start.campaign.pk))[:MAX_LISTED]


def _within(campaign: Campaign, since: datetime, until: datetime) -> Iterable[datetime]:
    """The campaign's planned starts in the period."""
    for at in occurrences(campaign.starts_at, campaign.repeat, campaign.timezone, since):
        if at >= min(until, campaign.ends_at):
            return
        if at >= since:
            yield at
