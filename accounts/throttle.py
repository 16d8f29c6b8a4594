"""How often one token, or one address without a token, may call the API.

Each process counts for itself and adds to the shared row a hundredth part of the limit at a time, so that the limit
costs next to nothing. In return each process may let through one per cent more than the limit.
"""

import threading
from dataclasses import dataclass
from typing import Final

from django.db import connection

from accounts.models import Usage
from project import clock
from project.http import TooManyRequests

PER_ADDRESS: Final = 3000
"""Requests a minute from one address that show no token which holds."""
_SHARES: Final = 100


@dataclass
class _Count:
    """What this process knows of one caller in this minute."""

    shared: int = 0
    """Of all processes together, as of the last time that we asked."""
    mine: int = 0
    """Of this one since then."""


class Throttle:
    """The counts of this process."""

    def __init__(self) -> None:
        self._lock, self._minute = threading.Lock(), 0
        self._counts: dict[str, _Count] = {}

    def spend(self, key: str, per_minute: int) -> None:
        """Count one request; TooManyRequests when `per_minute` of them have been made in this minute."""
        minute, second = divmod(int(clock.seconds()), 60)
        with self._lock:
            if minute != self._minute:
                self._minute, self._counts = minute, {}
            count = self._counts.setdefault(key, _Count())
            count.mine += 1
            report = count.mine >= max(1, per_minute // _SHARES)
            number = count.mine
            if report:
                count.shared, count.mine = count.shared + number, 0
        if report:
            count.shared = _add(key, minute, number)
        if count.shared + count.mine > per_minute:
            raise TooManyRequests(60 - second)


def _add(key: str, minute: int, number: int) -> int:
    """Add to what all processes have counted in that minute, and return the sum."""
    table = Usage._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (key, minute, requests) VALUES (%s, %s, %s) "  # noqa: S608
            "ON CONFLICT (key) DO UPDATE SET minute = excluded.minute, requests = excluded.requests + "
            f"CASE WHEN {table}.minute = excluded.minute THEN {table}.requests ELSE 0 END RETURNING requests",
            [key, minute, number],
        )
        return int(cursor.fetchone()[0])


spend: Final = Throttle().spend
