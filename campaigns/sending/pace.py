"""Rate limits, shared by all workers on all hosts.

The limit's whole state is the moment from which the next message may leave (the generic cell rate algorithm, ITU-T
I.371). When it has come, one worker takes a short stretch of messages from there. Nobody takes what lies further ahead,
so a worker that stops wastes a stretch at most; as much is the lateness that is made up for.
"""

import time
from collections.abc import Callable

from django.db import transaction

from campaigns.models import Pace

_STRETCH_SECONDS = 0.1


class Pacer:
    """One worker's view of a rate, in messages per second; None is no limit."""

    def __init__(self, key: str, rate: float | None, clock: Callable[[], float] = time.time) -> None:
        self.key, self.rate, self._clock = key, rate, clock
        self._next_at, self._left = 0.0, 0

    def ready(self) -> bool:
        """Whether a message may leave now; `spend` it then."""
        if self.rate is None:
            return True
        moment = self._clock()
        if moment > self._next_at + _STRETCH_SECONDS:
            self._left = 0
        if not self._left and moment >= self._next_at:
            number = max(1, int(self.rate * _STRETCH_SECONDS))
            taken, self._next_at = take(self.key, number / self.rate, moment)
            self._left = number if taken else 0
        return self._left > 0 and moment >= self._next_at

    def spend(self) -> None:
        """One message has left."""
        if self.rate is not None:
            self._left -= 1
            self._next_at += 1 / self.rate


def take(key: str, seconds: float, moment: float) -> tuple[bool, float]:
    """Take the next stretch of that length if its time has come: whether it has, and when it begins (epoch seconds)."""
    with transaction.atomic():
        pace, _ = Pace.objects.select_for_update().get_or_create(key=key, defaults={"next_at": moment})
        if pace.next_at > moment:
            return False, pace.next_at
        begins = max(pace.next_at, moment - _STRETCH_SECONDS)
        Pace.objects.filter(key=key).update(next_at=begins + seconds)
    return True, begins
