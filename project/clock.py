"""The time by the database's clock: the one clock that all processes on all hosts share.

A lease, a hold or a due time is written by one host and read by another, whose own clock may say something else.
"""

import time
from datetime import UTC, datetime
from typing import Final

from django.db import connection
from django.db.backends.utils import CursorWrapper

TRUSTED_SECONDS: Final = 30.0
# By more than this no clock runs wrong in that time: somebody has set it, or the host was asleep.
STEP_SECONDS: Final = 0.2
_SAMPLES = 3


class Clock:
    """The host's clock, set right by the database's twice a minute, so that a look at it costs no query.

    When the host's own clock was set it is set right at once: nothing must begin, or be over, an hour too early.
    Threads may share it: at worst two of them set it at once.
    """

    def __init__(self) -> None:
        self._offset, self._trusted_until, self._apart = 0.0, 0.0, 0.0

    def seconds(self) -> float:
        """Seconds since the epoch; DatabaseError if the clock is to be set and the database is out of reach."""
        steady = time.monotonic()
        if steady >= self._trusted_until or abs(time.time() - steady - self._apart) > STEP_SECONDS:
            apart = time.time() - time.monotonic()
            self._offset = measured_offset()
            self._apart = apart
            self._trusted_until = time.monotonic() + TRUSTED_SECONDS
        return time.time() + self._offset


def measured_offset() -> float:
    """How far the database's clock is ahead of this host's, in seconds; SQLite has no clock but the host's."""
    if connection.vendor != "postgresql":
        return 0.0
    with connection.cursor() as cursor:
        return min(_sample(cursor) for _ in range(_SAMPLES))[1]


def _sample(cursor: CursorWrapper) -> tuple[float, float]:
    """The round trip, which bounds the error, and the offset, as if the answer had been made half-way."""
    asked = time.time()
    cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
    there = float(cursor.fetchone()[0])
    answered = time.time()
    return answered - asked, there - (asked + answered) / 2


_clock = Clock()
seconds: Final = _clock.seconds


def now() -> datetime:
    """This moment, aware, in UTC."""
    return datetime.fromtimestamp(seconds(), UTC)
