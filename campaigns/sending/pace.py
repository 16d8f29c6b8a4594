"""Rate limits, shared by all workers on all hosts: each takes a short stretch of the future at a time.

The limit's whole state is the moment at which the next message may leave (the generic cell rate algorithm, ITU-T
I.371). A stretch is a tenth of a second, so the rate holds in every second and a worker's death loses little; as much
is the lateness that may be made up for.
"""

import time
from collections.abc import Callable

from django.db import transaction

from campaigns.models import Pace

_STRETCH_SECONDS = 0.1


class Pacer:
    """One worker's share of a rate, in messages per second; None is no limit."""

    def __init__(self, key: str, rate: float | None, clock: Callable[[], float] = time.time) -> None:
        self.key, self.rate, self._clock = key, rate, clock
        self._next_at, self._left = 0.0, 0

    def ready(self) -> bool:
        """Whether a message may leave now; `spend` it then."""
        if self.rate is None:
            return True
        if not self._left:
            self._left = max(1, int(self.rate * _STRETCH_SECONDS))
            self._next_at = reserve(self.key, self._left / self.rate, self._clock())
        return self._clock() >= self._next_at

    def spend(self) -> None:
        """One message has left."""
        if self.rate is not None:
            self._left -= 1
            self._next_at += 1 / self.rate


def reserve(key: str, seconds: float, moment: float) -> float:
    """Take the next free stretch of that length, and return when it begins (seconds since the epoch)."""
    with transaction.atomic():
        pace, _ = Pace.objects.select_for_update().get_or_create(key=key, defaults={"next_at": moment})
        begins = max(pace.next_at, moment - _STRETCH_SECONDS)
        Pace.objects.filter(key=key).update(next_at=begins + seconds)
    return begins
