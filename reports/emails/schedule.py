"""When reports are due: at `DAILY_REPORT_AT` in each user's time zone, on the day after their period."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.models import User
from campaigns.planning.recurrence import at_wall
from project.core.clock import now
from reports.models import Report, ReportFrequency

DAY: Final = timedelta(days=1)
DAYS: Final = {ReportFrequency.DAILY: 1, ReportFrequency.WEEKLY: 7}
CHOICES: Final = {ReportFrequency.DAILY: "daily_report", ReportFrequency.WEEKLY: "weekly_report"}
"""The user field that subscribes to reports of this frequency."""


def due_at(day: date, zone: str) -> datetime:
    """When the report whose last day is `day` is due in that zone."""
    return at_wall(day + DAY, settings.DAILY_REPORT_AT, zone)


def latest_due(frequency: ReportFrequency, zone: str, moment: datetime) -> date:
    """The last day of the latest report that is due at `moment`; a week ends on Sunday."""
    day = moment.astimezone(ZoneInfo(zone)).date() - DAY
    if moment < due_at(day, zone):
        day -= DAY
    return day - timedelta(days=(day.weekday() + 1) % 7) if frequency == ReportFrequency.WEEKLY else day


def bounds(frequency: ReportFrequency, day: date, zone: str) -> tuple[datetime, datetime]:
    """Start and end of the report's period in that zone."""
    first = day - (DAYS[frequency] - 1) * DAY
    return at_wall(first, time(), zone), at_wall(day + DAY, time(), zone)


def wants(user: User, frequency: ReportFrequency) -> bool:
    """Whether the user gets reports of that frequency."""
    return user.is_active and bool(getattr(user, CHOICES[frequency]))


def subscribers(frequency: ReportFrequency) -> QuerySet[User]:
    """The users for whom `wants` is true."""
    return User.objects.filter(is_active=True, **{CHOICES[frequency]: True})


def plan() -> int:
    """Create all reports that have become due; return how many. If several were missed, only the latest is created."""
    moment = now()
    rows = [row for frequency in ReportFrequency for row in _missing(frequency, moment)]
    Report.objects.bulk_create(rows, batch_size=1000, ignore_conflicts=True)
    return len(rows)


def plan_day(day: date) -> None:
    """Create the daily reports of that day for all subscribers, even before they are due."""
    missing = _without(subscribers(ReportFrequency.DAILY), ReportFrequency.DAILY, day)
    rows = [Report(user=user, day=day, due_at=now()) for user in missing]
    Report.objects.bulk_create(rows, batch_size=1000, ignore_conflicts=True)


def _missing(frequency: ReportFrequency, moment: datetime) -> Iterator[Report]:
    """One query per latest day, of which there are at most three. Users who joined later get the next report."""
    users = subscribers(frequency)
    eligible_by_day: dict[date, Q] = defaultdict(Q)
    for zone in users.order_by().values_list("timezone", flat=True).distinct():
        day = latest_due(frequency, zone, moment)
        eligible_by_day[day] |= Q(timezone=zone, date_joined__lt=due_at(day, zone))
    for day, eligible in eligible_by_day.items():
        for user in _without(users.filter(eligible), frequency, day):
            yield Report(user=user, frequency=frequency, day=day, due_at=moment)


def _without(users: QuerySet[User], frequency: ReportFrequency, day: date) -> QuerySet[User]:
    return users.filter(~Exists(Report.objects.filter(user=OuterRef("pk"), frequency=frequency, day=day)))
