"""What a report says of a day or a week: what was sent, what failed and why, and what comes next. From counters."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from django.db.models import Count, F, QuerySet, Sum
from django.db.models.functions import Coalesce

from accounts.models import User
from campaigns.calendar import occurrences
from campaigns.models import Campaign, Message, RunMinute
from campaigns.states import CampaignStatus, MessageStatus, Repeat
from campaigns.wording import reason_words
from project.clock import now
from reports.models import Rhythm
from reports.schedule import DAY, DAYS, bounds

SHOWN: Final = 20
_REASONS_SHOWN: Final = 3
_CANDIDATES: Final = 500


@dataclass(frozen=True)
class Reason:
    """Why messages failed, in words, and how many."""

    words: str
    number: int


@dataclass(frozen=True)
class Line:
    """What one campaign did in the time that is told of."""

    campaign: Campaign
    sent: int
    failed: int
    retried: int
    reasons: list[Reason]


@dataclass(frozen=True)
class Start:
    """A campaign that begins, or begins again."""

    campaign: Campaign
    at: datetime


@dataclass(frozen=True)
class Section:
    """The figures of one user, or of the whole system; `campaigns` are the first of `number`."""

    sent: int
    failed: int
    retried: int
    number: int
    campaigns: list[Line]
    starts: list[Start]

    @property
    def empty(self) -> bool:
        """Whether there is nothing to tell."""
        return not (self.number or self.starts)

    @property
    def more(self) -> int:
        """How many campaigns are not listed."""
        return self.number - len(self.campaigns)


@dataclass(frozen=True)
class Digest:
    """All that a report tells: from `first` to `last`, days of the user's zone."""

    rhythm: Rhythm
    first: date
    last: date
    own: Section
    everything: Section | None
    """The whole system's, for administrators."""

    @property
    def chief(self) -> Section:
        """What to begin with: one's own figures, or the whole system's for who has none."""
        return self.everything if self.everything is not None and self.own.empty else self.own

    @property
    def empty(self) -> bool:
        """Whether there is nothing to tell."""
        return self.own.empty and (self.everything is None or self.everything.empty)


def digest_of(user: User, rhythm: Rhythm, day: date) -> Digest:
    """What the user is told of `day`, or of the week that ends with it. Words are in the language that is active."""
    since, until = bounds(rhythm, day, user.timezone)
    own = _section(Campaign.objects.filter(owner=user), since, until, DAYS[rhythm])
    everything = _section(Campaign.objects.all(), since, until, DAYS[rhythm]) if user.is_staff else None
    return Digest(rhythm, day - (DAYS[rhythm] - 1) * DAY, day, own, everything)


def _section(campaigns: QuerySet[Campaign], since: datetime, until: datetime, days: int) -> Section:
    minutes = RunMinute.objects.filter(minute__gte=since, minute__lt=until, run__campaign__in=campaigns)
    sums = {f"all_{name}": Coalesce(Sum(name), 0) for name in ("sent", "failed", "retried")}
    total = minutes.aggregate(**sums, number=Count("run__campaign", distinct=True))
    rows = minutes.order_by().values("run__campaign").annotate(**sums)
    top = rows.order_by(F("all_sent").desc(), "-run__campaign").values_list("run__campaign", *sums)[:SHOWN]
    figures = {pk: (sent, failed, retried) for pk, sent, failed, retried in top}
    found = Campaign.objects.select_related("owner").in_bulk(figures)
    reasons = _reasons(minutes.filter(failed__gt=0, run__campaign__in=found), since, until)
    lines = [Line(found[pk], *numbers, reasons[pk]) for pk, numbers in figures.items()]
    starts = _starts(campaigns, since=min(until, now()), until=until + timedelta(days=days))
    return Section(total["all_sent"], total["all_failed"], total["all_retried"], total["number"], lines, starts)


def _reasons(minutes: QuerySet[RunMinute], since: datetime, until: datetime) -> dict[int, list[Reason]]:
    """The commonest reasons of each campaign's messages that failed in that time and have not been tried again."""
    found: dict[int, list[Reason]] = defaultdict(list)
    runs = list(minutes.order_by().values_list("run", flat=True).distinct())
    failed = Message.objects.in_status(MessageStatus.FAILED).filter(
        run__in=runs, changed_at__gte=since, changed_at__lt=until
    )
    rows = failed.order_by().values("run__campaign", "reason").annotate(number=Count("pk"))
    for row in rows.order_by("-number", "reason"):
        reasons = found[row["run__campaign"]]
        if len(reasons) < _REASONS_SHOWN:
            reasons.append(Reason(reason_words(row["reason"]), row["number"]))
    return found


def _starts(campaigns: QuerySet[Campaign], since: datetime, until: datetime) -> list[Start]:
    """What begins in that time, or begins again, the first first."""
    visible = campaigns.select_related("owner").filter(
        direct=False, deleted_at=None, ends_at__gt=since, starts_at__lt=until
    )
    once = visible.filter(status=CampaignStatus.SCHEDULED, starts_at__gte=since, repeat=Repeat.ONCE)
    again = visible.filter(status__in=(CampaignStatus.SCHEDULED, CampaignStatus.RUNNING)).exclude(repeat=Repeat.ONCE)
    candidates = [*once.order_by("starts_at")[:SHOWN], *again.order_by("-pk")[:_CANDIDATES]]
    starts = [Start(row, at) for row in candidates for at in _within(row, since, until)]
    return sorted(starts, key=lambda start: (start.at, start.campaign.pk))[:SHOWN]


def _within(campaign: Campaign, since: datetime, until: datetime) -> Iterable[datetime]:
    """The campaign's planned starts in that time."""
    for at in occurrences(campaign.starts_at, campaign.repeat, campaign.timezone, since):
        if at >= min(until, campaign.ends_at):
            return
        if at >= since:
            yield at
