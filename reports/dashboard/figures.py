"""Current figures from counters: campaigns by status, messages by status, sums by day. Messages are not counted.

Users see the figures of their own campaigns, administrators those of all. Messages of deleted campaigns stay in the
sums, but the campaigns are not listed.
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
    """Figures since `since`: messages accepted by the gateway, failed messages, and retried attempts."""

    since: datetime
    sent: int
    failed: int
    retried: int


@dataclass(frozen=True)
class Day:
    """Figures of one day in the user's time zone."""

    day: date
    sent: int
    failed: int


@dataclass(frozen=True)
class CampaignFigures:
    """One campaign with its messages by status, and their cost in micros (see `project.core.money`)."""

    campaign: Campaign
    by_status: dict[str, int]
    cost: int

    @property
    def total(self) -> int:
        """The number of all messages."""
        return sum(self.by_status.values())


def reported(user: User) -> CampaignQuerySet:
    """The campaigns whose figures the user may see."""
    rows = Campaign.objects.all()
    return rows if user.is_staff else rows.filter(owner=user)


def campaigns_by_status(user: User) -> dict[str, int]:
    """The number of campaigns in each status, without deleted ones."""
    rows = reported(user).visible().order_by().values("status").annotate(number=Count("pk"))
    found = {row["status"]: row["number"] for row in rows}
    return {status: found.get(status, 0) for status in CampaignStatus.values}


def messages_by_status(user: User) -> dict[str, int]:
    """The number of messages in each status, over all runs."""
    figures = Run.objects.filter(campaign__in=reported(user)).figures()
    return {status: figures[status] for status in MessageStatus.values}


def cost(user: User) -> int:
    """What all runs have cost, in micros."""
    return int(Run.objects.filter(campaign__in=reported(user)).aggregate(cost=Coalesce(Sum("cost"), 0))["cost"])


def figures_of(campaigns: Iterable[Campaign]) -> list[CampaignFigures]:
    """The figures of each campaign, in one query for all."""
    rows = list(campaigns)
    names = (*MessageStatus.values, "cost")
    sums = {f"sum_{name}": Sum(name) for name in names}  # an annotation must not have the name of a field
    runs = Run.objects.filter(campaign__in=rows).order_by().values("campaign").annotate(**sums)
    found = {pk: (numbers, int(cost)) for pk, *numbers, cost in runs.values_list("campaign", *sums)}
    zeros = ([0] * len(MessageStatus.values), 0)
    return [
        CampaignFigures(row, dict(zip(MessageStatus.values, numbers, strict=True)), cost)
        for row in rows
        for numbers, cost in [found.get(row.pk, zeros)]
    ]


def periods(user: User, days: Sequence[int]) -> list[Period]:
    """Sums for the last `days` days, including today, from midnight in the user's time zone."""
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
    """Hour, sent and failed messages for each hour of today up to now, in the user's time zone."""
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
    """The minute counters from `since` on."""
    rows = RunMinute.objects.filter(minute__gte=since)
    return rows if user.is_staff else rows.filter(run__campaign__owner=user)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), get_current_timezone())
