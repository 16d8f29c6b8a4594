"""A send session: for at most 20 seconds, one worker sends due messages, taking turns among the runs.

The loop never blocks on the network or the database. The database worker leases and records while requests are in
flight, and the loop starts as many as concurrency, rate limits and deadlines allow. Messages that are not sent soon
are released, and nothing is sent on an old snapshot. So pause, cancel and opt-out also apply to leased messages.
"""

import time
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass

import structlog
from django.conf import settings

from campaigns.gateways.protocol import Answer, Driver, Outcome, TransportFailure, unconfirmed
from campaigns.gateways.registry import Limits
from campaigns.metrics import IN_FLIGHT
from campaigns.sending.admission import Admission
from campaigns.sending.buffer import MAX_BUFFERED_SECONDS, SendableRun, SendBuffer
from campaigns.sending.db_worker import DatabaseWorker, LeasedFromRun, Snapshot
from campaigns.sending.decisions import Leased
from campaigns.sending.exchange_log import ExchangeLog
from campaigns.sending.lease import SESSION_SECONDS, lease_seconds
from campaigns.sending.outcomes import Completed, record, release
from campaigns.sending.pulling import FIRST_WAIT
from campaigns.sending.rate_limit import AHEAD_SECONDS, RateLimiter, Reservation
from campaigns.sending.transport import Transport
from project.core.clock import recent_seconds

log = structlog.get_logger("vestnik.sending")

# Together with MAX_BUFFERED_SECONDS less than a second: nothing may be sent on a state older than that.
SNAPSHOT_SECONDS, MAX_SNAPSHOT_SECONDS = 0.1, 0.3
RECORD_SECONDS, RECORD_BATCH = 0.25, 1000
# A killed worker loses the outcomes that it has not recorded. At a low rate recording is cheap, so it happens at once.
PROMPT_SECONDS, PROMPT_BATCH = 0.03, 100
POLL_SECONDS = 0.02
# Longer than any request can take, see GATEWAY_TIMEOUT.
GRACE_SECONDS = 16.0
# A lease costs a transaction, so it should not be for fewer messages than this.
MIN_SHARE, MAX_BATCH, MAX_BUFFERED, MAX_RUNS = 20, 2000, 8000, 200


@dataclass(slots=True)
class InFlight:
    """A request in flight."""

    message: Leased
    probe: bool
    started: float


class SendSession:
    """One worker sends through one gateway: for `seconds` at most; it ends `linger` seconds after nothing is due.

    The database worker runs in `executor`, or else in its own threads.
    """

    def __init__(
        self,
        driver: Driver,
        transport: Transport,
        *,
        stopping: Callable[[], bool] = lambda: False,
        seconds: float = SESSION_SECONDS,
        linger: float = 0.0,
        executor: Executor | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.driver, self.transport, self.stopping = driver, transport, stopping
        self.token = uuid.uuid4()
        self.deadline, self.linger = time.monotonic() + seconds, linger
        self.db_worker = DatabaseWorker(driver.name, self.token, time.monotonic() + lease_seconds(), executor)
        self.concurrency, rate = limits or Limits(settings.GATEWAY_CONCURRENCY, settings.GATEWAY_RATE)
        self.rate_limiter = RateLimiter(f"gateway:{driver.name}", rate)
        self.min_room = 2 * self.concurrency
        if rate:
            self.min_room = min(self.min_room, max(1, int(rate * MAX_BUFFERED_SECONDS)))
        self.room = self.min_room
        self.timeout = settings.GATEWAY_TIMEOUT
        self.buffer = SendBuffer()
        self.runs: deque[SendableRun] = deque()
        self.completed: list[Completed] = []
        self.leased_from: set[int] = set()
        self.snapshot, self.admission = Snapshot(), Admission(self.db_worker)
        self.exchange_log = ExchangeLog(driver.name)
        self._pending_snapshot: Future[Snapshot] | None = None
        self._pending_lease: Future[list[LeasedFromRun]] | None = None
        self._pending_reservations: Future[dict[str, Reservation]] | None = None
        self._reserving: list[tuple[RateLimiter, float]] = []
        self._sendable: set[int] = set()
        self._last_served = 0
        self._snapshot_outdated = True
        self._snapshot_requested_at = self._recorded_at = self._leased_at = self._busy_at = 0.0

    def run(self) -> set[int]:
        """Send until nothing is due, the gateway stops, or time is up; return the ids of the runs leased from."""
        clean = False
        try:
            while not self._is_over():
                self._refresh_snapshot()
                self._lease()
                self._reserve()
                self._start_requests()
                self._collect(POLL_SECONDS / 4 if self._pending_reservations else POLL_SECONDS)
            clean = True
        finally:
            self._drain(clean=clean)
        return self.leased_from

    def _is_over(self) -> bool:
        """Whether time is up, or there has been no work for a while: nothing buffered, in flight, being leased or due.

        At the start, and after messages were released, only a new snapshot shows what is due.
        """
        moment = time.monotonic()
        if self.stopping() or moment >= self.deadline:
            return True
        may_send = self.snapshot.due and (self.admission.unrestricted or self.admission.has_probe)
        if self.transport.in_flight or self.buffer or self._pending_lease or may_send or self._snapshot_outdated:
            self._busy_at = moment
            return False
        return self._pending_snapshot is None and moment - self._busy_at >= self.linger

    def _refresh_snapshot(self) -> None:
        """Ten times a second, have the database worker find due runs and ask the circuit breaker."""
        moment = time.monotonic()
        if self._pending_snapshot is None and moment - self._snapshot_requested_at >= SNAPSHOT_SECONDS:
            if self.admission.probing and not (self.transport.in_flight or self.buffer or self._pending_lease):
                self.admission.return_probe()
            self._snapshot_requested_at, self._snapshot_outdated = moment, False
            IN_FLIGHT.set(self.driver.name, value=self.transport.in_flight)
            self._pending_snapshot = self.db_worker.take_snapshot(ask_circuit_breaker=not self.admission.has_probe)
        if self._pending_snapshot is not None and self._pending_snapshot.done():
            finished, self._pending_snapshot = self._pending_snapshot, None
            self._apply_snapshot(finished.result())

    def _apply_snapshot(self, snapshot: Snapshot) -> None:
        """Apply a snapshot: release messages that may not be sent any more, or have waited too long."""
        self.snapshot = snapshot
        # Continue after the run that was served last, so that every run gets a turn.
        self.runs = deque(sorted(snapshot.due, key=lambda run: (run.id <= self._last_served, run.id)))
        self.buffer.update(snapshot.sendable, snapshot.due)
        self._sendable = {run.id for run in snapshot.sendable}
        self._give_back(self.buffer.take_stale(self._sendable))
        self.admission.update(snapshot.permit, self._snapshot_requested_at)
        # Messages leased without restriction must not be sent as probes.
        if self.admission.restricted:
            self._release(self.buffer.take_all())

    def _lease(self) -> None:
        """Have messages leased from each run in turn, so that a small campaign never waits for a large one."""
        if self._pending_lease is not None and self._pending_lease.done():
            finished, self._pending_lease = self._pending_lease, None
            self._receive(finished.result())
        if self._pending_lease is not None:
            return
        if self.admission.probe_waiting:
            self.admission.probing, self._pending_lease = True, self.db_worker.lease_one(self.runs)
        elif self.admission.unrestricted and self.runs:
            self._refill()

    def _refill(self) -> None:
        """Lease before the buffer is empty, but no more than half a second's worth of messages."""
        room = self.room - len(self.buffer)
        if room < self.room // 4:
            return
        reserved = self.rate_limiter.reserved(recent_seconds()) - len(self.buffer)
        wanted = int(min(room, MAX_BATCH, reserved))
        quotas = self._quotas(wanted)
        if not quotas:
            return
        moment = time.monotonic()
        if moment - self._leased_at < MAX_BUFFERED_SECONDS / 6 and sum(number for _, number in quotas) == wanted:
            self.room = min(2 * self.room, MAX_BUFFERED)
        self._leased_at = moment
        self._pending_lease = self.db_worker.lease(quotas)

    def _quotas(self, wanted: int) -> list[tuple[SendableRun, int]]:
        """How many messages to lease from each run. A run gets its next turn once it has returned all of its quota.

        A run without room keeps its turn: what its rate allows is not reserved yet.
        """
        share, moment = max(MIN_SHARE, wanted // len(self.runs)), recent_seconds()
        quotas: list[tuple[SendableRun, int]] = []
        full: list[SendableRun] = []
        while self.runs and wanted > 0 and len(quotas) < MAX_RUNS:
            run = self.runs.popleft()
            room = self.buffer.room(run, min(share, wanted), moment)
            if room > 0:
                self._last_served = run.id
                quotas.append((run, room))
                wanted -= room
            else:
                full.append(run)
        self.runs.extend(full)
        return quotas

    def _receive(self, results: list[LeasedFromRun]) -> None:
        """Buffer leased messages; a run that returned fewer than requested has no turn until the next snapshot."""
        queued = {run.id for run in self.runs}
        for run, requested, messages in results:
            self.leased_from.add(run.id)
            self.buffer.add(run, messages)
            if len(messages) == requested and run.id not in queued:
                self.runs.append(run)
        # They were requested when sending was unrestricted.
        if self.admission.restricted:
            self._release(self.buffer.take_all())

    def _reserve(self) -> None:
        """Have what becomes due soon reserved at all rate limits together."""
        if self._pending_reservations is not None and self._pending_reservations.done():
            finished, self._pending_reservations = self._pending_reservations, None
            reservations = finished.result()
            for limiter, rate in self._reserving:
                limiter.add(reservations[limiter.key], rate)
        # What is reserved for after the end would be wasted.
        ahead = min(AHEAD_SECONDS, self.deadline - time.monotonic() - POLL_SECONDS)
        needed = self.buffer or (self.snapshot.due and (self.admission.unrestricted or self.admission.probing))
        if self._pending_reservations is None and needed and ahead > 0:
            moment, limiters = recent_seconds(), (self.rate_limiter, *self.buffer.rate_limiters())
            self._reserving = [(each, wanted) for each in limiters if (wanted := each.wants(moment))]
            if self._reserving:
                rates = {limiter.key: rate for limiter, rate in self._reserving}
                self._pending_reservations = self.db_worker.reserve(rates, ahead)

    def _start_requests(self) -> None:
        """Send buffered messages, one of each run in turn, as far as concurrency and rate limits allow.

        Everything that may forbid a message is checked right before it is sent: nothing here waits.
        """
        free = self.concurrency - self.transport.in_flight
        unsendable: list[Leased] = []
        while free > 0 and self.buffer and self._snapshot_is_recent():
            moment = recent_seconds()
            message = self.buffer.next(moment) if self.rate_limiter.ready(moment) else None
            if message is None:
                break
            if self._may_send(message, moment):
                self._send(message, moment)
                free -= 1
            else:
                unsendable.append(message)
        self._give_back(unsendable)

    def _snapshot_is_recent(self) -> bool:
        return time.monotonic() - self.snapshot.at <= MAX_SNAPSHOT_SECONDS

    def _may_send(self, message: Leased, moment: float) -> bool:
        """Whether its run may send, its deadline has not passed, and what its lease has read is not out of date."""
        recent = time.monotonic() - message.leased_at <= MAX_BUFFERED_SECONDS
        return recent and message.send_before > moment and message.run_id in self._sendable

    def _send(self, message: Leased, moment: float) -> None:
        request = self.driver.build(message.id, message.phone, message.text, message.sender)
        timeout = min(self.timeout, message.send_before - moment)
        self.transport.submit(InFlight(message, self.admission.probing, time.monotonic()), request, timeout)
        self.rate_limiter.spend()

    def _collect(self, wait: float) -> None:
        """Collect answers, update the circuit breaker, and have outcomes recorded once there are enough."""
        for flight, answer in self.transport.poll(wait):
            if answer.failure == TransportFailure.NO_FILES:
                self._too_many_files(flight)
                continue
            completed = Completed(flight.message, answer, self._outcome(answer), flight.probe)
            self.completed.append(completed)
            if self.admission.completed(completed, started=flight.started):
                self._stop_sending()
        if self.completed and self._should_record() and not self.db_worker.writing:
            self._record()

    def _outcome(self, answer: Answer) -> Outcome:
        """The meaning of an answer. One that breaks the driver must not take the others with it."""
        try:
            return self.driver.parse(answer)
        except Exception as error:
            log.error("answer not read", gateway=self.driver.name, error=type(error).__name__)  # noqa: TRY400 — no contents
            return unconfirmed("unreadable")

    def _should_record(self) -> bool:
        """Whether there are many outcomes, or few that have waited long enough for their number."""
        number, waited = len(self.completed), time.monotonic() - self._recorded_at
        return number >= RECORD_BATCH or waited > (PROMPT_SECONDS if number < PROMPT_BATCH else RECORD_SECONDS)

    def _too_many_files(self, flight: InFlight) -> None:
        """Nothing was sent: release the message, and limit this session to the current number of requests."""
        if self.concurrency > max(1, self.transport.in_flight):
            self.concurrency = max(1, self.transport.in_flight)
            log.error("too many open files", gateway=self.driver.name, concurrency=self.concurrency)
        if flight.probe:
            self.admission.return_probe()
        self._release([flight.message])
        self._stop_sending()

    def _stop_sending(self) -> None:
        """Stop sending until the circuit breaker has been asked again, which happens at once."""
        self.admission.stop()
        self._snapshot_requested_at = 0.0
        self._release(self.buffer.take_all())

    def _record(self) -> None:
        batch, self.completed = self.completed, []
        self._recorded_at = time.monotonic()
        driver = self.driver
        pull_after = FIRST_WAIT if driver.pull_batch else None
        options = {"gateway": driver.name, "idempotent": driver.idempotent, "pull_after": pull_after}
        self.db_worker.write(record, self.token, batch, **options, secrets=driver.secrets)
        if chosen := self.exchange_log.choose(batch):
            self.db_worker.write(self.exchange_log.write, chosen)
        self.admission.report()

    def _give_back(self, messages: list[Leased]) -> None:
        """Release messages that waited too long or may not be sent any more; lease fewer from now on."""
        if messages:
            self.room = max(self.min_room, self.room // 2)
            self._release(messages)

    def _release(self, messages: list[Leased]) -> None:
        """Give back messages that were not sent, for any worker to lease again."""
        if messages:
            self._snapshot_outdated = True
            self.db_worker.write(release, self.token, messages)

    def _drain(self, *, clean: bool) -> None:
        """Start no more requests; record those in flight when they end; release all other messages.

        If the session is not `clean`, an error ended it, and the rescuer takes back what may be left.
        """
        all_settled = False
        try:
            if self._pending_snapshot is not None and self._pending_snapshot.exception() is None:
                self._apply_snapshot(self._pending_snapshot.result())
            if self._pending_lease is not None and self._pending_lease.exception() is None:
                self._receive(self._pending_lease.result())
            self._release(self.buffer.take_all())
            give_up_at = time.monotonic() + GRACE_SECONDS
            while self.transport.in_flight and time.monotonic() < give_up_at:
                self._collect(0.1)
            if self.completed:
                self._record()
            if self.admission.has_probe:
                self.admission.return_probe()
            all_settled = clean and not self.transport.in_flight
        finally:
            IN_FLIGHT.set(self.driver.name, value=0)
            self.db_worker.finish(all_settled=all_settled)
