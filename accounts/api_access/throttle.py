"""Rate limits of the API: requests per minute for each token, and for each address without a token.

Each process counts for itself and adds to the shared row in steps of one hundredth of the limit, which makes the
check cheap. In return, each process may exceed the limit by one per cent.
"""

import threading
from dataclasses import dataclass
from typing import Final

from django.db import connection

from accounts.models import RequestCount
from project.core import clock
from project.http.errors import TooManyRequests

MAX_PER_ADDRESS: Final = 3000
"""Requests per minute from one address that present no valid token."""
_STEPS_PER_LIMIT: Final = 100


@dataclass
class _Count:
    """The requests of one caller in the current minute."""

    shared: int = 0
    """Requests to all processes, when last read."""
    unshared: int = 0
    """Requests to this process since then."""


class Throttle:
    """The counters of this process."""

    def __init__(self) -> None:
        self._lock, self._minute = threading.Lock(), 0
        self._counts: dict[str, _Count] = {}

    def spend(self, key: str, per_minute: int) -> None:
        """Count one request. Raises TooManyRequests if it exceeds `per_minute`."""
        minute, second = divmod(int(clock.seconds()), 60)
        with self._lock:
            if minute != self._minute:
                self._minute, self._counts = minute, {}
            count = self._counts.setdefault(key, _Count())
            count.unshared += 1
            share_now = count.unshared >= max(1, per_minute // _STEPS_PER_LIMIT)
            number = count.unshared
            if share_now:
                count.shared, count.unshared = count.shared + number, 0
        if share_now:
            count.shared = _add(key, minute, number)
        if count.shared + count.unshared > per_minute:
            raise TooManyRequests(60 - second)


def _add(key: str, minute: int, number: int) -> int:
    """Add to the shared count of that minute, and return the sum."""
    table = RequestCount._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (key, minute, requests) VALUES (%s, %s, %s) "  # noqa: S608
            "ON CONFLICT (key) DO UPDATE SET minute = excluded.minute, requests = excluded.requests + "
            f"CASE WHEN {table}.minute = excluded.minute THEN {table}.requests ELSE 0 END RETURNING requests",
            [key, minute, number],
        )
        return int(cursor.fetchone()[0])


spend: Final = Throttle().spend
