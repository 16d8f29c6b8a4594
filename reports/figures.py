"""What came of it all, from counters: campaigns by state, messages by state, sums by day. Nothing counts messages.

Users see the figures of their own campaigns, administrators those of all. The messages of deleted campaigns stay in the
sums; the campaigns themselves are not listed any more.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import Coalesce, ExtractHour, TruncDate
from django.utils.timezone import get_current_timezone, localdate, localtime

from accounts.models import User
from campaigns.models import Campaign, CampaignQuerySet, Run, RunMinute
from campaigns.states import CampaignStatus, MessageStatus


@dataclass(frozen=True)
class Period:
    """What happened since `since`: messages that the gateway accepted, that failed, and attempts that are repeated."""

    since: datetime
    sent: int
    failed: int
    retried: int


@dataclass(frozen=True)
class Day:
    """What happened on one day of the reader's zone."""

    day: date
    sent: int
    failed: int


@dataclass(frozen=True)
class CampaignFigures:
    """One campaign and where its messages stand."""

    campaign: Campaign
    by_status: dict[str, int]

    @property
    def total(self) -> int:
        """All messages."""
        return sum(self.by_status.values())


def reported(user: User) -> CampaignQuerySet:
    """The campaigns whose figures the user sees."""
    rows = Campaign.objects.all()
    return rows if user.is_staff else rows.filter(owner=user)


def campaigns_by_status(user: User) -> dict[str, int]:
    """How many campaigns are in each state; deleted ones are not counted."""
    rows = reported(user).visible().order_by().values("status").annotate(number=Count("pk"))
    found = {row["status"]: row["number"] for row in rows}
    return {status: found.get(status, 0) for status in CampaignStatus.values}


def messages_by_status(user: User) -> dict[str, int]:
    """How many messages are in each state, over all runs."""
    figures = Run.objects.filter(campaign__in=reported(user)).figures()
    return {status: figures[status] for status in MessageStatus.values}


def figures_of(campaigns: Iterable[Campaign]) -> list[CampaignFigures]:
    """The figures of each campaign, in one query for all."""
    rows = list(campaigns)
    sums = {f"sum_{status}": Sum(status) for status in MessageStatus.values}  # no annotation may be named like a field
    runs = Run.objects.filter(campaign__in=rows).order_by().values("campaign").annotate(**sums)
    found = {
        pk: dict(zip(MessageStatus.values, numbers, strict=True))
        for pk, *numbers in runs.values_list("campaign", *sums)
    }
    nothing = dict.fromkeys(MessageStatus.values, 0)
    return [CampaignFigures(row, found.get(row.pk, nothing)) for row in rows]


def periods(user: User, days: Sequence[int]) -> list[Period]:
    """Sums since midnight of the reader's zone, for today (1) and so many days including it."""
    starts = [_midnight(localdate() - timedelta(days=number - 1)) for number in days]
    names = ("sent", "failed", "retried")
    sums = _minutes(user, min(starts)).aggregate(
        **{
            f"{name}_{index}": Coalesce(Sum(name, filter=Q(minute__gte=since)), 0)
            for index, since in enumerate(starts)
            for name in names
        }
    )
    return [Period(since, *(sums[f"{name}_{index}"] for name in names)) for index, since in enumerate(starts)]


def by_day(user: User, days: int) -> list[Day]:
    """Each of the last `days` days, oldest first, today last."""
    first = localdate() - timedelta(days=days - 1)
    rows = (
        _minutes(user, _midnight(first))
        .annotate(day=TruncDate("minute"))
        .order_by()
        .values("day")
        .annotate(all_sent=Sum("sent"), all_failed=Sum("failed"))
    )
    found = {row["day"]: (row["all_sent"], row["all_failed"]) for row in rows}
    return [Day(day, *found.get(day, (0, 0))) for day in (first + timedelta(days=n) for n in range(days))]


def by_hour(user: User) -> list[tuple[int, int, int]]:
    """Each hour of today in the reader's zone up to now: the hour, and how many messages were sent and failed in it."""
    rows = (
        _minutes(user, _midnight(localdate()))
        .annotate(hour=ExtractHour("minute"))
        .order_by()
        .values("hour")
        .annotate(all_sent=Sum("sent"), all_failed=Sum("failed"))
    )
    found = {row["hour"]: (row["all_sent"], row["all_failed"]) for row in rows}
    return [(hour, *found.get(hour, (0, 0))) for hour in range(localtime().hour + 1)]


def _minutes(user: User, since: datetime) -> QuerySet[RunMinute]:
    """What was done in each minute from `since` on."""
    rows = RunMinute.objects.filter(minute__gte=since)
    return rows if user.is_staff else rows.filter(run__campaign__owner=user)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), get_current_timezone())
