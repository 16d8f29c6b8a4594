"""Rate limits, shared by all workers on all hosts.

The limit's whole state is the moment from which the next message may leave (the generic cell rate algorithm, ITU-T
I.371). When it has come, one worker takes a short stretch of messages from there. Nobody takes what lies further ahead,
so a worker that stops wastes a stretch at most; as much is the lateness that is made up for.
"""

from collections.abc import Callable

from django.db import transaction

from campaigns.models import Pace
from project.clock import seconds

_STRETCH_SECONDS = 0.1


class Pacer:
    """One worker's view of a rate, in messages per second; None is no limit. The rate may be changed at any time."""

    def __init__(self, key: str, rate: float | None, clock: Callable[[], float] = seconds) -> None:
        self.key, self.rate, self._clock = key, rate, clock
        self._next_at, self._left, self._taken_at_rate = 0.0, 0, rate

    def ready(self) -> bool:
        """Whether a message may leave now; `spend` it then."""
        if self.rate is None:
            return True
        moment = self._clock()
        if self.rate != self._taken_at_rate:
            self._next_at, self._left, self._taken_at_rate = 0.0, 0, self.rate
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


def take(key: str, length: float, moment: float) -> tuple[bool, float]:
    """Take the next stretch, `length` seconds of it, if its time has come: whether it has, and when it begins.

    No stretch is further away than one length: one that is was taken at a lower rate, which counts no more.
    """
    with transaction.atomic():
        pace, _ = Pace.objects.select_for_update().get_or_create(key=key, defaults={"next_at": moment})
        begins = min(max(pace.next_at, moment - _STRETCH_SECONDS), moment + length)
        taken = begins <= moment
        next_at = begins + length if taken else begins
        if next_at != pace.next_at:
            Pace.objects.filter(key=key).update(next_at=next_at)
    return taken, begins
