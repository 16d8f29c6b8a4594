"""Rate limits, shared by all workers on all hosts.

The whole state of a limit is the moment from which the next message may be sent (generic cell rate algorithm, ITU-T
I.371). Workers reserve what becomes due within `AHEAD_SECONDS`, so that they need not wait for the database. A worker
that stops wastes this much. Delays are made up for by `_TOLERANCE_SECONDS` at most.
"""

import math
import random
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from django.db import transaction

from campaigns.models import RateLimitState

AHEAD_SECONDS, _TOLERANCE_SECONDS = 0.2, 0.1
# How long before the end of what is reserved to ask for more; at random, so that workers share a rate evenly.
_ASK_SECONDS = (0.05, 0.15)


class Reservation(NamedTuple):
    """A number of messages that may be sent from `begins` on; none if this is still too far ahead."""

    begins: float
    number: int


@dataclass(slots=True)
class Interval:
    """Messages that may be sent one after another from `next_at` on."""

    next_at: float
    remaining: int


class RateLimiter:
    """One worker's share of a rate in messages per second; None means no limit. The rate may change at any time.

    It never waits: it says when it `wants` a reservation, and gets it later. Moments are in seconds since the epoch, by
    the database's clock.
    """

    def __init__(self, key: str, rate: float | None) -> None:
        self.key, self.rate = key, rate
        self._reserved_at_rate = rate
        self._intervals: deque[Interval] = deque()
        self._ask_at = 0.0

    def ready(self, moment: float) -> bool:
        """Whether a message may be sent now. Call `spend` when it is."""
        if self.rate is None:
            return True
        self._discard_obsolete(self.rate, moment)
        return bool(self._intervals) and self._intervals[0].next_at <= moment

    def wants(self, moment: float) -> float | None:
        """The rate at which to reserve more now; None while there is no need."""
        if self.rate is None:
            return None
        self._discard_obsolete(self.rate, moment)
        return self.rate if moment >= self._ask_at else None

    def add(self, reservation: Reservation, rate: float) -> None:
        """Add what was reserved at that rate; it is void if the rate has changed."""
        if rate != self.rate:
            return
        if reservation.number:
            self._intervals.append(Interval(reservation.begins, reservation.number))
            end = reservation.begins + reservation.number / rate
            self._ask_at = end - random.uniform(*_ASK_SECONDS)  # noqa: S311
        else:
            self._ask_at = reservation.begins - AHEAD_SECONDS

    def spend(self) -> None:
        """Count one message as sent."""
        if self.rate is not None:
            self._use(self.rate, 1)

    def _discard_obsolete(self, rate: float, moment: float) -> None:
        """Discard what was reserved at another rate, or not used in time."""
        if rate != self._reserved_at_rate:
            self._intervals.clear()
            self._ask_at, self._reserved_at_rate = 0.0, rate
        while self._intervals and (late := moment - _TOLERANCE_SECONDS - self._intervals[0].next_at) > 0:
            self._use(rate, math.ceil(late * rate))

    def _use(self, rate: float, number: int) -> None:
        first = self._intervals[0]
        first.remaining -= number
        first.next_at += number / rate
        if first.remaining <= 0:
            self._intervals.popleft()


def reserve(rates: Mapping[str, float], moment: float) -> dict[str, Reservation]:
    """Reserve what becomes due soon at these rates, by key.

    The number of statements does not depend on the number of keys. A reservation further ahead than any that is made
    now was made at a lower rate, which is obsolete.
    """
    near = moment + AHEAD_SECONDS
    with transaction.atomic():
        states = _locked(rates)
        if len(states) < len(rates):
            missing = sorted(rates.keys() - {state.key for state in states})
            RateLimitState.objects.bulk_create(
                [RateLimitState(key=key, next_at=moment) for key in missing], ignore_conflicts=True
            )
            states = _locked(rates)
        reservations, changed = {}, []
        for state in states:
            rate = rates[state.key]
            begins = min(max(state.next_at, moment - _TOLERANCE_SECONDS), near + 1 / rate)
            number = max(1, int((near - begins) * rate)) if begins <= near else 0
            reservations[state.key] = Reservation(begins, number)
            next_at = begins + number / rate
            if next_at != state.next_at:
                state.next_at = next_at
                changed.append(state)
        RateLimitState.objects.bulk_update(changed, ["next_at"])
    return reservations


def _locked(keys: Iterable[str]) -> list[RateLimitState]:
    """The rows of these keys, locked in one order everywhere."""
    return list(RateLimitState.objects.filter(key__in=list(keys)).order_by("key").select_for_update())
