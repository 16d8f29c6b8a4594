"""A slice: for at most 20 seconds, one worker sends what is due, taking turns among the runs.

The loop never blocks on the network: it leases while requests are in flight, starts as many as concurrency, pace and
deadlines allow, and records outcomes in batches. What it holds but has not sent in a second goes back, so that pause,
cancel and opt-out reach messages that are leased already.
"""

import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

import structlog
from django.conf import settings
from django.utils.timezone import now

from campaigns.gateways.base import Adapter, Verdict
from campaigns.models import Run
from campaigns.sending import breaker
from campaigns.sending.breaker import Permit
from campaigns.sending.hand import IN_HAND_SECONDS, Hand
from campaigns.sending.lease import MAX_BATCH, SLICE_SECONDS, Leased, lease
from campaigns.sending.pace import Pacer
from campaigns.sending.record import Done, record, release
from campaigns.sending.transport import Transport

log = structlog.get_logger("vestnik.sending")

GUARD_SECONDS = 0.1
RECORD_SECONDS, RECORD_BATCH = 0.25, 500
# Longer than any request may take, see GATEWAY_TIMEOUT.
GRACE_SECONDS = 16.0
# A lease costs a transaction, so even the smallest share should be worth one.
LEAST_SHARE = 20


@dataclass(slots=True)
class InFlight:
    """A request on its way."""

    message: Leased
    probe: bool
    started: float


class Slice:
    """One worker's turn at one gateway."""

    def __init__(
        self,
        adapter: Adapter,
        transport: Transport,
        *,
        stopping: Callable[[], bool] = lambda: False,
        seconds: float = SLICE_SECONDS,
    ) -> None:
        self.adapter, self.transport, self.stopping = adapter, transport, stopping
        self.token = uuid.uuid4()
        self.deadline = time.monotonic() + seconds
        self.pacer = Pacer(f"gateway:{adapter.name}", settings.GATEWAY_RATE)
        self.least_batch = 2 * settings.GATEWAY_CONCURRENCY
        if settings.GATEWAY_RATE:
            self.least_batch = min(self.least_batch, max(1, int(settings.GATEWAY_RATE * IN_HAND_SECONDS)))
        self.batch = self.least_batch
        self.hand = Hand()
        self.runs: deque[Run] = deque()
        self.done: list[Done] = []
        self.touched: set[int] = set()
        self.permit = Permit(free=True)
        self.streak = breaker.Streak()
        self._probing, self._due, self._served = False, True, 0
        self._guarded_at = self._recorded_at = self._leased_at = 0.0

    def run(self) -> set[int]:
        """Send until nothing is due, the gateway stops, or time is up; return the ids of the runs that it moved."""
        try:
            while not self._over():
                self._lease()
                # Right before messages leave, for a lease may have taken long enough for another sender to be told off.
                self._guard()
                self._start()
                self._collect(0.02)
        finally:
            self._drain()
        return self.touched

    def _over(self) -> bool:
        """Time is up, or there is nothing to do: nothing in hand, in flight or due."""
        if self.stopping() or time.monotonic() >= self.deadline:
            return True
        idle = not self.transport.in_flight and not self.hand
        return idle and not (self._due and (self.permit.free or self.permit.probe))

    def _guard(self) -> None:
        """Ten times a second: see which runs are due, give back what has waited too long, and ask the breaker last."""
        moment = time.monotonic()
        if moment - self._guarded_at < GUARD_SECONDS:
            return
        self._guarded_at = moment
        runs = list(Run.objects.sendable().select_related("campaign"))
        due = [run for run in runs if _is_due(run)]
        # Go on behind the run that was served last, so that everyone gets a turn.
        self.runs = deque(sorted(due, key=lambda run: (run.pk <= self._served, run.pk)))
        self._due = bool(due)
        stale = self.hand.stale({run.pk for run in runs})
        if stale:
            self.batch = max(self.least_batch, self.batch // 2)
            release(self.token, stale)
        if self._probing and not self.transport.in_flight and not self.hand:
            self._withdraw_probe()
        if not self._probing:
            self.permit = breaker.permit(self.adapter.name)
        if not self.permit.free and not self.permit.probe:
            self._give_back()

    def _lease(self) -> None:
        """Fill up from each run in turn, so that a small campaign never waits for a large one."""
        if self.permit.probe:
            self._lease_probe()
            return
        want = self.batch - len(self.hand)
        if not self.permit.free or not self.runs or want < self.batch // 2:
            return
        if time.monotonic() - self._leased_at < IN_HAND_SECONDS / 4:
            self.batch = min(2 * self.batch, MAX_BATCH)
        share = max(LEAST_SHARE, want // len(self.runs))
        while self.runs and want > 0:
            run = self.runs.popleft()
            asked = min(share, want)
            got = self._lease_from(run, asked)
            want -= got
            if got == asked:
                self.runs.append(run)
        self._leased_at = time.monotonic()

    def _lease_from(self, run: Run, limit: int) -> int:
        """Take up to `limit` messages of a run in hand; a run that gives fewer is left alone until the next guard."""
        self._served = run.pk
        room = self.hand.room(run, limit)
        if room <= 0:
            return 0
        self.touched.add(run.pk)
        messages = lease(run, self.token, room)
        self.hand.add(run, messages)
        return len(messages)

    def _lease_probe(self) -> None:
        """One message is enough to learn whether the gateway is back: the one that has been due the longest."""
        if self._probing:
            return
        self._probing = any(self._lease_from(run, 1) for run in sorted(self.runs, key=attrgetter("first_due")))
        if not self._probing:
            self._withdraw_probe()

    def _withdraw_probe(self) -> None:
        """There was nothing to send, or its time was over before it could leave."""
        breaker.withdraw(self.adapter.name)
        self._probing, self.permit = False, Permit()

    def _start(self) -> None:
        """Let messages leave, one of each run in turn, as far as concurrency and pace allow."""
        moment = now()
        late: list[Leased] = []
        while self.hand and self.transport.in_flight < settings.GATEWAY_CONCURRENCY and self.pacer.ready():
            message = self.hand.next()
            if message is None:
                break
            if message.leave_before > moment:
                self._send(message, moment)
            else:
                late.append(message)
        if late:
            release(self.token, late)

    def _send(self, message: Leased, moment: datetime) -> None:
        request = self.adapter.build(message.id, message.phone, message.text)
        timeout = min(settings.GATEWAY_TIMEOUT, (message.leave_before - moment).total_seconds())
        self.transport.submit(InFlight(message, self._probing, time.monotonic()), request, timeout)
        self.pacer.spend()

    def _collect(self, wait: float) -> None:
        """Take what has ended, tell the breaker, and record when enough has gathered."""
        for flight, answer in self.transport.poll(wait):
            done = Done(flight.message, answer, self.adapter.parse(answer), flight.probe)
            self.done.append(done)
            self._judge(flight, done)
        overdue = time.monotonic() - self._recorded_at > RECORD_SECONDS
        if self.done and (overdue or len(self.done) >= RECORD_BATCH):
            self._record()

    def _judge(self, flight: InFlight, done: Done) -> None:
        """What an outcome says of the gateway as a whole."""
        name, outcome = self.adapter.name, done.outcome
        if outcome.hold is not None:
            breaker.hold(name, outcome.hold)
            self._stop_here()
        if flight.probe:
            self._probing = False
            self._stop_here()
            if outcome.verdict in (Verdict.SENT, Verdict.REFUSED) or done.answer.status == 429:
                breaker.succeeded(name)
            else:
                breaker.probe_failed(name, outcome.reason)
        elif outcome.verdict == Verdict.UNAUTHORISED:
            breaker.refused(name, outcome.reason)
            self._stop_here()
        elif outcome.verdict != Verdict.RETRY:
            self.streak.success()
        elif done.answer.status != 429:
            self.streak.failure(flight.started, outcome.reason)

    def _stop_here(self) -> None:
        """Nothing more leaves from this slice until the breaker has been asked again, which is at once."""
        self.permit = Permit()
        self._guarded_at = 0.0
        self._give_back()

    def _record(self) -> None:
        batch, self.done = self.done, []
        self._recorded_at = time.monotonic()
        record(self.token, batch, idempotent=self.adapter.idempotent)
        self.streak.report(self.adapter.name)
        sent = sum(done.sent for done in batch)
        log.info("recorded", gateway=self.adapter.name, sent=sent, others=len(batch) - sent)

    def _give_back(self) -> None:
        """Return what has not left, for anyone to lease and look at anew."""
        messages = self.hand.everything()
        if messages:
            release(self.token, messages)

    def _drain(self) -> None:
        """Nothing new leaves; what is in flight ends and is recorded; the rest goes back."""
        self._give_back()
        patience = time.monotonic() + GRACE_SECONDS
        while self.transport.in_flight and time.monotonic() < patience:
            self._collect(0.1)
        if self.done:
            self._record()


def _is_due(run: Run) -> bool:
    """Whether a run that `sendable` found has a message whose time has come."""
    first_due: datetime | None = run.first_due  # type: ignore[attr-defined]
    return first_due is not None and first_due <= now()
