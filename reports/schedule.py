"""When reports are due: at `DAILY_REPORT_AT` by each user's clock, the day after what they tell of."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.models import User
from campaigns.calendar import at_wall
from project.clock import now
from reports.models import Report, Rhythm

DAY: Final = timedelta(days=1)
DAYS: Final = {Rhythm.DAILY: 1, Rhythm.WEEKLY: 7}
CHOICES: Final = {Rhythm.DAILY: "daily_report", Rhythm.WEEKLY: "weekly_report"}
"""The user's field that says whether they want it."""


def due_at(day: date, zone: str) -> datetime:
    """When the report whose last day is `day` is due for users of that zone."""
    return at_wall(day + DAY, settings.DAILY_REPORT_AT, zone)


def latest_due(rhythm: Rhythm, zone: str, moment: datetime) -> date:
    """The last day of the latest report that is due at `moment`; a week ends on Sunday."""
    day = moment.astimezone(ZoneInfo(zone)).date() - DAY
    if moment < due_at(day, zone):
        day -= DAY
    return day - timedelta(days=(day.weekday() + 1) % 7) if rhythm == Rhythm.WEEKLY else day


def bounds(rhythm: Rhythm, day: date, zone: str) -> tuple[datetime, datetime]:
    """From which moment until which the report tells, by clocks of that zone."""
    first = day - (DAYS[rhythm] - 1) * DAY
    return at_wall(first, time(), zone), at_wall(day + DAY, time(), zone)


def wants(user: User, rhythm: Rhythm) -> bool:
    """Whether the user is to get reports of that rhythm."""
    return user.is_active and bool(getattr(user, CHOICES[rhythm]))


def wanting(rhythm: Rhythm) -> QuerySet[User]:
    """The users that `wants` is true of."""
    return User.objects.filter(is_active=True, **{CHOICES[rhythm]: True})


def plan() -> int:
    """Make the rows of all reports that have become due, and return how many; of missed ones only the latest."""
    moment = now()
    rows = [row for rhythm in Rhythm for row in _missing(rhythm, moment)]
    Report.objects.bulk_create(rows, batch_size=1000, ignore_conflicts=True)
    return len(rows)


def plan_day(day: date) -> None:
    """Make the rows of that day's daily reports for all who want them, whether the hour has come or not."""
    missing = _without(wanting(Rhythm.DAILY), Rhythm.DAILY, day)
    rows = [Report(user=user, day=day, due_at=now()) for user in missing]
    Report.objects.bulk_create(rows, batch_size=1000, ignore_conflicts=True)


def _missing(rhythm: Rhythm, moment: datetime) -> Iterator[Report]:
    """One query for each day that is the latest somewhere, three at most. Who joined after the hour gets the next."""
    users = wanting(rhythm)
    joined: dict[date, Q] = defaultdict(Q)
    for zone in users.order_by().values_list("timezone", flat=True).distinct():
        day = latest_due(rhythm, zone, moment)
        joined[day] |= Q(timezone=zone, date_joined__lt=due_at(day, zone))
    for day, known in joined.items():
        for user in _without(users.filter(known), rhythm, day):
            yield Report(user=user, rhythm=rhythm, day=day, due_at=moment)


def _without(users: QuerySet[User], rhythm: Rhythm, day: date) -> QuerySet[User]:
    return users.filter(~Exists(Report.objects.filter(user=OuterRef("pk"), rhythm=rhythm, day=day)))
