"""The breaker of a gateway, its state in the database for all workers to share.

Closed: everything leaves. Open: nothing leaves until `open_until`; then one message does, as a probe, and its fate
closes the breaker or keeps it open for longer. A hold (`Retry-After`) only waits, and nothing is probed.
"""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from django.db.models import F
from django.db.models.functions import Coalesce, Greatest

from campaigns.models import Gateway
from project.clock import now

FAILURES_TO_OPEN: Final = 20
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=1), timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Permit:
    """What may leave now: everything, one probe, or nothing before `wait_until`."""

    free: bool = False
    probe: bool = False
    wait_until: datetime | None = None


class Tally(NamedTuple):
    """What a streak has to tell: failures in a row, the last one's reason, and whether a success came before them."""

    failures: int
    reason: str
    succeeded: bool


class Streak:
    """Failures in a row as one slice sees them. One that began before the last success says nothing of the present."""

    def __init__(self) -> None:
        self._failures, self._reason = 0, ""
        self._succeeded, self._last_success = False, 0.0

    def success(self) -> None:
        """A request was accepted, or refused for good: the gateway works."""
        self._failures, self._succeeded, self._last_success = 0, True, time.monotonic()

    def failure(self, started: float, reason: str) -> bool:
        """A request that began at `started` (monotonic) came to nothing; return whether it is time to stop."""
        if started > self._last_success:
            self._failures, self._reason = self._failures + 1, reason
        return self._failures >= FAILURES_TO_OPEN

    def taken(self) -> Tally:
        """What there is to report, once."""
        tally = Tally(self._failures, self._reason, self._succeeded)
        self._failures, self._succeeded = 0, False
        return tally


def report(name: str, tally: Tally) -> None:
    """Add to the streak that all workers share; a long one opens the breaker."""
    row = Gateway.objects.filter(name=name)
    if tally.succeeded:
        row.filter(failures__gt=0).update(failures=0)
    if tally.failures:
        row.update(failures=F("failures") + tally.failures)
        row.filter(failures__gte=FAILURES_TO_OPEN, open_until=None).update(
            opened_at=now(), open_until=now() + FIRST_PAUSE, alert=tally.reason
        )


def pause_after(openings: int) -> timedelta:
    """How long an open breaker waits before its next probe."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * (1 << min(openings, 10)))


def permit(name: str) -> Permit:
    """Ask whether messages may leave. A probe is given to one asker only, who must report what came of it."""
    gateway, _ = Gateway.objects.get_or_create(name=name)
    moment = now()
    if gateway.held_until and gateway.held_until > moment:
        return Permit(wait_until=gateway.held_until)
    if gateway.open_until is None:
        return Permit(free=True)
    if gateway.open_until > moment:
        return Permit(wait_until=gateway.open_until)
    reserved = moment + LONGEST_PAUSE
    won = Gateway.objects.filter(name=name, open_until=gateway.open_until).update(open_until=reserved)
    return Permit(probe=True) if won else Permit(wait_until=reserved)


def blocked_until(name: str) -> datetime | None:
    """The moment before which it makes no sense to try, or None."""
    gateway = Gateway.objects.filter(name=name).first()
    moments = [moment for moment in (gateway.open_until, gateway.held_until) if moment] if gateway else []
    return max(moments, default=None)


def withdraw(name: str) -> None:
    """Give a probe back that found nothing to send."""
    Gateway.objects.filter(name=name, open_until__isnull=False).update(open_until=now())


def succeeded(name: str) -> None:
    """The gateway accepts: close, forget failures and alert."""
    Gateway.objects.filter(name=name).update(failures=0, opened_at=None, open_until=None, openings=0, alert="")


def refused(name: str, reason: str) -> None:
    """The gateway does not know us (401, 403): open at once."""
    Gateway.objects.filter(name=name, open_until=None).update(
        opened_at=now(), open_until=now() + FIRST_PAUSE, alert=reason
    )


def probe_failed(name: str, reason: str) -> None:
    """Still not back: wait twice as long."""
    gateway = Gateway.objects.get(name=name)
    Gateway.objects.filter(name=name, open_until__isnull=False).update(
        open_until=now() + pause_after(gateway.openings + 1), openings=F("openings") + 1, alert=reason
    )


def hold(name: str, seconds: float) -> None:
    """Keep everything back for that long; a longer hold already there stays."""
    until = now() + timedelta(seconds=seconds)
    Gateway.objects.filter(name=name).update(held_until=Greatest(Coalesce(F("held_until"), until), until))
