"""Rate limits, shared by all workers on all hosts.

The whole state of a limit is the moment from which the next message may be sent (generic cell rate algorithm, ITU-T
I.371). Workers reserve what becomes due within `AHEAD_SECONDS`, and then lease as many messages as they have reserved.
So neither a distant database nor the number of workers lowers a rate. A worker that stops wastes what it has reserved.
Delays are made up for by `_TOLERANCE_SECONDS` at most.
"""

import math
import random
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from django.db import transaction

from campaigns.models import RateLimitState
from project.core.sql import execute, table, table_rows

AHEAD_SECONDS, _TOLERANCE_SECONDS = 0.5, 0.1
# How long before the end of what is reserved to ask for more; at random, so that workers share a rate evenly.
_ASK_SECONDS = (0.25, 0.35)


_TABLE: Final = RateLimitState._meta.db_table


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

    def reserved(self, moment: float) -> float:
        """How many messages may be sent now and soon."""
        if self.rate is None:
            return math.inf
        self._discard_obsolete(self.rate, moment)
        return sum(interval.remaining for interval in self._intervals)

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


def reserve(rates: Mapping[str, float], moment: float, ahead: float = AHEAD_SECONDS) -> dict[str, Reservation]:
    """Reserve what becomes due at these rates within `ahead` seconds, by key.

    The number of statements does not depend on the number of keys. A reservation further ahead than any that is made
    now was made at a lower rate, which is obsolete.
    """
    near = moment + ahead
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
            begins = min(max(state.next_at, moment - _TOLERANCE_SECONDS), moment + AHEAD_SECONDS + 1 / rate)
            number = max(1, int((near - begins) * rate)) if begins < near else 0
            reservations[state.key] = Reservation(begins, number)
            next_at = begins + number / rate
            if next_at != state.next_at:
                changed.append((state.key, next_at))
        if changed:
            execute(
                f"WITH {table(RateLimitState, 'changed', ('key', 'next_at'))} "  # noqa: S608
                f"UPDATE {_TABLE} SET next_at = changed.next_at FROM changed WHERE {_TABLE}.key = changed.key",
                table_rows(changed),
            )
    return reservations


def _locked(keys: Iterable[str]) -> list[RateLimitState]:
    """The rows of these keys, locked in one order everywhere."""
    return list(RateLimitState.objects.filter(key__in=list(keys)).order_by("key").select_for_update())
