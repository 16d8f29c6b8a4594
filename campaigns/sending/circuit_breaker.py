"""The circuit breaker of a gateway. Its state is in the database, so all workers share it.

Closed: all messages are sent. Open: none is sent until `open_until`. Then one message is sent as a probe, and its
outcome closes the circuit breaker or keeps it open for longer. A hold (`Retry-After`) needs no probe when it ends.
"""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import structlog
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Greatest

from campaigns.models import Gateway
from project.core.clock import now

log = structlog.get_logger("vestnik.sending")
FAILURES_TO_OPEN: Final = 20
INITIAL_PAUSE, MAX_PAUSE = timedelta(seconds=1), timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Permit:
    """What may be sent now: all messages, one probe, or nothing before `wait_until`."""

    unrestricted: bool = False
    probe: bool = False
    wait_until: datetime | None = None


class StreakReport(NamedTuple):
    """The failures in a row, the reason of the last one, and whether a success came before them."""

    failures: int
    reason: str
    succeeded: bool


class Streak:
    """Failures in a row within one send session. Requests that began before the last success are ignored."""

    def __init__(self) -> None:
        self._in_a_row, self._unreported, self._reason = 0, 0, ""
        self._succeeded, self._last_success = False, 0.0

    def success(self) -> None:
        """Record that a request was accepted or permanently refused: the gateway works."""
        self._in_a_row, self._unreported = 0, 0
        self._succeeded, self._last_success = True, time.monotonic()

    def failure(self, started: float, reason: str) -> bool:
        """Record that a request begun at `started` (monotonic) failed; return whether to stop sending."""
        if started > self._last_success:
            self._in_a_row, self._unreported, self._reason = self._in_a_row + 1, self._unreported + 1, reason
        if self._in_a_row < FAILURES_TO_OPEN:
            return False
        self._in_a_row = 0
        return True

    def take_report(self) -> StreakReport:
        """Return what happened since the last report, and reset it."""
        report = StreakReport(self._unreported, self._reason, self._succeeded)
        self._unreported, self._succeeded = 0, False
        return report


def report(name: str, streak: StreakReport) -> None:
    """Add to the failures that all workers count together; too many in a row open the circuit breaker."""
    row = Gateway.objects.filter(name=name)
    if streak.succeeded:
        row.filter(failures__gt=0).update(failures=0)
    if streak.failures:
        row.update(failures=F("failures") + streak.failures)
        if _open(row.filter(failures__gte=FAILURES_TO_OPEN), streak.reason):
            log.warning("gateway does not answer: sending paused", gateway=name, reason=streak.reason)


def _open(rows: QuerySet[Gateway], reason: str) -> int:
    """Open the circuit breakers among `rows` that are closed; return how many were."""
    return rows.filter(open_until=None).update(opened_at=now(), open_until=now() + INITIAL_PAUSE, alert=reason)


def probe_interval(failed_probes: int) -> timedelta:
    """How long an open circuit breaker waits before its next probe."""
    return min(MAX_PAUSE, INITIAL_PAUSE * (1 << min(failed_probes, 10)))


def permit(name: str) -> Permit:
    """Ask whether messages may be sent. Only one caller gets the probe, and must report its outcome."""
    gateway, _ = Gateway.objects.get_or_create(name=name)
    moment = now()
    if gateway.held_until and gateway.held_until > moment:
        return Permit(wait_until=gateway.held_until)
    if gateway.open_until is None:
        return Permit(unrestricted=True)
    if gateway.open_until > moment:
        return Permit(wait_until=gateway.open_until)
    reserved_until = moment + MAX_PAUSE
    reserved = Gateway.objects.filter(name=name, open_until=gateway.open_until).update(open_until=reserved_until)
    return Permit(probe=True) if reserved else Permit(wait_until=reserved_until)


def blocked_until(name: str) -> datetime | None:
    """The moment until which nothing can be sent, or None."""
    gateway = Gateway.objects.filter(name=name).first()
    moments = [moment for moment in (gateway.open_until, gateway.held_until) if moment] if gateway else []
    return max(moments, default=None)


def return_probe(name: str) -> None:
    """Give back a probe for which there was no message."""
    Gateway.objects.filter(name=name, open_until__isnull=False).update(open_until=now())


def close(name: str) -> None:
    """The gateway accepts messages again: close, and reset failures and alert."""
    rows = Gateway.objects.filter(name=name, open_until__isnull=False)
    if rows.update(failures=0, opened_at=None, open_until=None, failed_probes=0, alert=""):
        log.info("gateway answers again: sending resumed", gateway=name)


def credentials_refused(name: str, reason: str) -> None:
    """The gateway refuses the account (wrong credentials, no money): open at once."""
    if _open(Gateway.objects.filter(name=name), reason):
        log.error("gateway refuses our account: sending paused", gateway=name, reason=reason)


def probe_failed(name: str, reason: str) -> None:
    """The gateway still fails: double the wait."""
    gateway = Gateway.objects.get(name=name)
    Gateway.objects.filter(name=name, open_until__isnull=False).update(
        open_until=now() + probe_interval(gateway.failed_probes + 1), failed_probes=F("failed_probes") + 1, alert=reason
    )


def hold(name: str, seconds: float) -> None:
    """Send nothing for that many seconds; a longer existing hold stays."""
    moment = now()
    until, rows = moment + timedelta(seconds=seconds), Gateway.objects.filter(name=name)
    if rows.filter(Q(held_until=None) | Q(held_until__lte=moment)).update(held_until=until):
        log.warning("gateway asks to wait: sending held", gateway=name, until=until.isoformat())
    else:
        rows.update(held_until=Greatest(F("held_until"), until))
