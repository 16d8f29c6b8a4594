"""Admission: what one send session may send by its gateway's circuit breaker, and what it reports to it."""

import time

from campaigns.gateways.protocol import Verdict
from campaigns.sending import circuit_breaker
from campaigns.sending.circuit_breaker import Permit, Streak
from campaigns.sending.db_worker import DatabaseWorker
from campaigns.sending.outcomes import Completed


class Admission:
    """All messages, one probe, or nothing. A probe is leased, sent and answered before anything else."""

    def __init__(self, db_worker: DatabaseWorker) -> None:
        self._db_worker, self._gateway = db_worker, db_worker.gateway
        self._permit = Permit(unrestricted=True)
        self._streak = Streak()
        self._stopped_at = 0.0
        self.probing = False
        """Whether the probe is being leased, or is in flight."""

    @property
    def unrestricted(self) -> bool:
        """Whether all messages may be sent."""
        return self._permit.unrestricted

    @property
    def probe_waiting(self) -> bool:
        """Whether a probe may be leased."""
        return self._permit.probe and not self.probing

    @property
    def restricted(self) -> bool:
        """Whether nothing may be sent that was leased without restriction."""
        return not (self._permit.unrestricted or self.probing)

    @property
    def has_probe(self) -> bool:
        """Whether this session has the probe, so that there is nothing to ask the circuit breaker."""
        return self.probing or self._permit.probe

    def update(self, permit: Permit | None, requested_at: float) -> None:
        """Apply the circuit breaker's answer (None: not asked), unless sending has stopped since it was asked."""
        if permit is None:
            return
        if requested_at >= self._stopped_at:
            self._permit = permit
        elif permit.probe:
            self.return_probe()

    def stop(self) -> None:
        """Send nothing until the circuit breaker has been asked again."""
        self._permit, self._stopped_at = Permit(), time.monotonic()

    def return_probe(self) -> None:
        """Give the probe back: there was nothing to send, or it could not be sent."""
        self._db_worker.write(circuit_breaker.return_probe, self._gateway)
        self.probing, self._permit = False, Permit()

    def completed(self, completed: Completed, *, started: float) -> bool:
        """Tell the circuit breaker about a request begun at `started`; return whether to stop sending."""
        outcome, write = completed.outcome, self._db_worker.write
        if outcome.hold is not None:
            write(circuit_breaker.hold, self._gateway, outcome.hold)
        if completed.probe:
            self.probing = False
            if outcome.verdict in (Verdict.SENT, Verdict.REFUSED, Verdict.HELD) or completed.answer.status == 429:
                write(circuit_breaker.close, self._gateway)
            else:
                write(circuit_breaker.probe_failed, self._gateway, outcome.reason)
            return True
        if outcome.verdict == Verdict.UNAUTHORISED:
            write(circuit_breaker.credentials_refused, self._gateway, outcome.reason)
            return True
        if outcome.verdict != Verdict.RETRY:
            self._streak.success()
        elif completed.answer.status != 429 and self._streak.failure(started, outcome.reason):
            self.report()
            return True
        return outcome.hold is not None

    def report(self) -> None:
        """Report this session's streak to the circuit breaker; a snapshot requested later takes it into account."""
        self._db_worker.write(circuit_breaker.report, self._gateway, self._streak.take_report())
