"""Time arithmetic of campaigns, pure: occurrences of a repeat, local time, and windows. Moments are aware UTC.

Wall-clock times meet daylight saving as in RFC 5545 (3.3.5): one that a change skips means the moment as far behind the
change; one that happens twice means the first.
"""

from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from campaigns.states import Repeat

Window = tuple[time, time]
_DAY = timedelta(days=1)


def at_wall(day: date, clock: time, zone: str, *, second_time: bool = False) -> datetime:
    """The moment at which clocks in `zone` show `clock` on `day`; `second_time` picks the later of a repeated hour."""
    return datetime.combine(day, clock, ZoneInfo(zone)).replace(fold=int(second_time)).astimezone(UTC)


def occurrences(starts_at: datetime, repeat: str, zone: str) -> Iterator[datetime]:
    """The endless row of planned starts, at `starts_at`'s wall-clock time in `zone`; `once` has one only.

    A monthly one keeps its day of the month, clamped to the month's last: 31 January, 28 February, 31 March.
    """
    yield starts_at
    if repeat == Repeat.ONCE:
        return
    wall = starts_at.astimezone(ZoneInfo(zone))
    step = 0
    while True:
        step += 1
        if repeat == Repeat.MONTHLY:
            months = wall.year * 12 + wall.month - 1 + step
            year, month = months // 12, months % 12 + 1
            day = date(year, month, min(wall.day, monthrange(year, month)[1]))
        else:
            day = wall.date() + step * (_DAY if repeat == Repeat.DAILY else 7 * _DAY)
        yield at_wall(day, wall.time(), zone)


def local_start(occurrence: datetime, campaign_zone: str, contact_zone: str) -> datetime:
    """When `occurrence`'s wall-clock time in the campaign's zone comes in the contact's zone."""
    wall = occurrence.astimezone(ZoneInfo(campaign_zone))
    return at_wall(wall.date(), wall.time(), contact_zone)


def is_open(window: Window, moment: datetime, zone: str) -> bool:
    """Whether clocks in `zone` stand inside the window, which may span midnight; its end is outside."""
    opens, closes = window
    clock = moment.astimezone(ZoneInfo(zone)).time()
    if opens <= closes:
        return opens <= clock < closes
    return clock >= opens or clock < closes


def next_opening(window: Window, moment: datetime, zone: str) -> datetime:
    """`moment` if the window is open then, else when it opens next."""
    if is_open(window, moment, zone):
        return moment
    return _next(window[0], moment, zone)


def next_closing(window: Window, moment: datetime, zone: str) -> datetime:
    """When the window that is open at `moment` closes."""
    return _next(window[1], moment, zone)


def _next(clock: time, moment: datetime, zone: str) -> datetime:
    """The first time after `moment` at which clocks in `zone` show `clock`."""
    today = moment.astimezone(ZoneInfo(zone)).date()
    days = [today + offset * _DAY for offset in (0, 1, 2)]
    candidates = [at_wall(day, clock, zone, second_time=second) for day in days for second in (False, True)]
    return min(candidate for candidate in candidates if candidate > moment)


def due_at(start: datetime, window: Window | None, zone: str, now: datetime) -> datetime:
    """When a message to a contact in `zone` may first leave: from `start`, not in the past, inside the window."""
    earliest = max(start, now)
    return next_opening(window, earliest, zone) if window else earliest
