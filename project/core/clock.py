"""The current time by the database's clock, which all processes on all hosts share.

One host stores a lease, hold or due time and another reads it, and their own clocks may differ.
"""

import time
from datetime import UTC, datetime
from typing import Final

from django.db import connection
from django.db.backends.utils import CursorWrapper

TRUSTED_SECONDS: Final = 30.0
# No clock drifts more than this within that time: a larger step means that it was set, or the host was asleep.
STEP_SECONDS: Final = 0.2
_SAMPLES = 3


class Clock:
    """The host's clock, corrected by the database's twice a minute, so that reading it costs no query.

    If the host's clock is set, it is corrected at once, so that nothing starts or ends at the wrong time. Threads may
    share it; at worst two correct it at the same time.
    """

    def __init__(self) -> None:
        self._offset, self._trusted_until, self._wall_minus_monotonic = 0.0, 0.0, 0.0

    def seconds(self) -> float:
        """Return seconds since the epoch. DatabaseError if a correction is due and the database is unreachable."""
        monotonic = time.monotonic()
        if monotonic >= self._trusted_until or abs(time.time() - monotonic - self._wall_minus_monotonic) > STEP_SECONDS:
            wall_minus_monotonic = time.time() - time.monotonic()
            self._offset = measured_offset()
            self._wall_minus_monotonic = wall_minus_monotonic
            self._trusted_until = time.monotonic() + TRUSTED_SECONDS
        return time.time() + self._offset

    def recent_seconds(self) -> float:
        """Return the same by the latest correction, without a query; if the host's clock was set, as if it had not."""
        monotonic, wall = time.monotonic(), time.time()
        if abs(wall - monotonic - self._wall_minus_monotonic) > STEP_SECONDS:
            wall = monotonic + self._wall_minus_monotonic
        return wall + self._offset


def measured_offset() -> float:
    """Return the database clock's lead over the host's in seconds; 0 with SQLite, which uses the host's clock."""
    if connection.vendor != "postgresql":
        return 0.0
    with connection.cursor() as cursor:
        return min(_sample(cursor) for _ in range(_SAMPLES))[1]


def _sample(cursor: CursorWrapper) -> tuple[float, float]:
    """Return the round trip, which bounds the error, and the offset, assuming an answer half-way."""
    sent_at = time.time()
    cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
    database_time = float(cursor.fetchone()[0])
    received_at = time.time()
    return received_at - sent_at, database_time - (sent_at + received_at) / 2


_clock = Clock()
seconds: Final = _clock.seconds
recent_seconds: Final = _clock.recent_seconds


def now() -> datetime:
    """Return the current time, aware, in UTC."""
    return datetime.fromtimestamp(seconds(), UTC)
