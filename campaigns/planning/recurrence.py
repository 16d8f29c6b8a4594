"""Time arithmetic of campaigns: occurrences, local time and windows. Pure functions; moments are aware UTC.

Daylight saving is handled as in RFC 5545 (3.3.5): a wall-clock time that a change skips means the moment as long after
the change; one that occurs twice means the first.
"""

from bisect import bisect_left
from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from zoneinfo import ZoneInfo

from campaigns.states import Repeat

Window = tuple[time, time]
_DAY = timedelta(days=1)
_MAX_DAYS = {Repeat.DAILY: 1, Repeat.WEEKLY: 7, Repeat.MONTHLY: 31}
_TWO_DAYS = 2 * 24 * 60 * 60


def at_wall(day: date, clock: time, zone: str, *, second_time: bool = False) -> datetime:
    """The moment at which clocks in `zone` show `clock` on `day`; `second_time` picks the later of a repeated hour."""
    return datetime.combine(day, clock, ZoneInfo(zone)).replace(fold=int(second_time)).astimezone(UTC)


def occurrences(starts_at: datetime, repeat: str, zone: str, since: datetime | None = None) -> Iterator[datetime]:
    """The endless sequence of planned starts, at `starts_at`'s wall-clock time in `zone`; `once` has only one.

    Monthly occurrences keep the day of the month, limited to the last one: 31 January, 28 February, 31 March. With
    `since`, the sequence begins a few occurrences before that moment instead of at the first.
    """
    if repeat == Repeat.ONCE:
        yield starts_at
        return
    wall = starts_at.astimezone(ZoneInfo(zone))
    passed = (since - starts_at).days if since else 0
    first = max(0, passed // _MAX_DAYS[Repeat(repeat)] - 2)
    if not first:
        yield starts_at
    for step in count(max(1, first)):
        if repeat == Repeat.MONTHLY:
            months = wall.year * 12 + wall.month - 1 + step
            year, month = months // 12, months % 12 + 1
            day = date(year, month, min(wall.day, monthrange(year, month)[1]))
        else:
            day = wall.date() + step * (_DAY if repeat == Repeat.DAILY else 7 * _DAY)
        yield at_wall(day, wall.time(), zone)


def local_start(starts_at: datetime, occurrence: datetime, campaign_zone: str, contact_zone: str) -> datetime:
    """When clocks in the contact's zone show `starts_at`'s time in the campaign's zone, on the occurrence's day.

    The time is not taken from `occurrence`, because the campaign's zone may skip the hour on that day.
    """
    first, wall = (moment.astimezone(ZoneInfo(campaign_zone)) for moment in (starts_at, occurrence))
    return at_wall(wall.date(), first.time(), contact_zone, second_time=bool(wall.fold))


def is_open(window: Window, moment: datetime, zone: str) -> bool:
    """Whether the local time in `zone` is inside the window, which may span midnight and excludes its end."""
    opens, closes = window
    clock = moment.astimezone(ZoneInfo(zone)).time()
    if opens <= closes:
        return opens <= clock < closes
    return clock >= opens or clock < closes


def next_opening(window: Window, moment: datetime, zone: str) -> datetime:
    """`moment` if the window is open then, else when it opens next."""
    if is_open(window, moment, zone):
        return moment
    return min(crossing for crossing in _crossings(window[0], moment, zone) if is_open(window, crossing, zone))


def next_closing(window: Window, moment: datetime, zone: str) -> datetime:
    """When the window that is open at `moment` closes."""
    return min(crossing for crossing in _crossings(window[1], moment, zone) if not is_open(window, crossing, zone))


def _crossings(clock: time, moment: datetime, zone: str) -> Iterator[datetime]:
    """All moments in the two days after `moment` at which clocks in `zone` reach `clock` or skip it."""
    today = moment.astimezone(ZoneInfo(zone)).date()
    for offset in range(3):
        for second_time in (False, True):
            crossing = at_wall(today + offset * _DAY, clock, zone, second_time=second_time)
            if crossing > moment:
                yield crossing
    change = _next_change(moment, zone)
    if change is not None:
        yield change


def _next_change(moment: datetime, zone: str) -> datetime | None:
    """When the UTC offset of `zone` changes in the two days after `moment`, or None."""
    since, zone_info = moment.replace(microsecond=0), ZoneInfo(zone)
    offset = moment.astimezone(zone_info).utcoffset()

    def changed(seconds: int) -> bool:
        return (since + timedelta(seconds=seconds)).astimezone(zone_info).utcoffset() != offset

    if not changed(_TWO_DAYS):
        return None
    return since + timedelta(seconds=bisect_left(range(_TWO_DAYS), True, key=changed))


def due_at(start: datetime, window: Window | None, zone: str, now: datetime) -> datetime:
    """When a message to a contact in `zone` may first be sent: from `start`, not in the past, inside the window."""
    earliest = max(start, now)
    return next_opening(window, earliest, zone) if window else earliest
