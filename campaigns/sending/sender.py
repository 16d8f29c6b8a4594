"""A slice: for at most 20 seconds, one worker sends what is due, taking turns among the runs.

The loop never blocks on the network: it leases while requests are in flight, starts as many as concurrency, pace and
deadlines allow, and records outcomes in batches. What it holds but has not sent in a second goes back, so that pause,
cancel and opt-out reach messages that are leased already.
"""

import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from django.conf import settings
from django.utils.timezone import now

from campaigns.gateways.base import Adapter, Verdict
from campaigns.models import Run
from campaigns.sending import breaker
from campaigns.sending.breaker import Permit
from campaigns.sending.lease import MAX_BATCH, SLICE_SECONDS, Leased, lease
from campaigns.sending.pace import Pacer
from campaigns.sending.record import Done, record, release
from campaigns.sending.transport import Transport

log = structlog.get_logger("vestnik.sending")

GUARD_SECONDS = 0.1
RECORD_SECONDS, RECORD_BATCH = 0.25, 500
IN_HAND_SECONDS = 1.0
GRACE_SECONDS = 15.0
# A lease costs a transaction, so even the smallest share of a turn is worth one.
LEAST_SHARE = 100


@dataclass(slots=True)
class InFlight:
    """A request on its way."""

    message: Leased
    probe: bool
    started: float


@dataclass(slots=True)
class Turn:
    """One run's messages in hand, and its own pace."""

    pacer: Pacer
    leased_at: float = 0.0
    queue: deque[Leased] = field(default_factory=deque)


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
        self.runs: deque[Run] = deque()
        self.turns: dict[int, Turn] = {}
        self.done: list[Done] = []
        self.touched: set[int] = set()
        self.permit = Permit(free=True)
        self.streak = breaker.Streak()
        self._probing = self._dry = False
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
        idle = not self.transport.in_flight and not self._in_hand()
        return idle and (self._dry or not (self.permit.free or self.permit.probe))

    def _in_hand(self) -> int:
        return sum(len(turn.queue) for turn in self.turns.values())

    def _guard(self) -> None:
        """Ten times a second: see which runs may send, give back what has waited too long, and ask the breaker last."""
        moment = time.monotonic()
        if moment - self._guarded_at < GUARD_SECONDS:
            return
        self._guarded_at = moment
        self.runs = deque(Run.objects.sendable().select_related("campaign").order_by("pk"))
        sendable = {run.pk for run in self.runs}
        stale = [pk for pk, turn in self.turns.items() if turn.queue and moment - turn.leased_at > IN_HAND_SECONDS]
        if stale:
            self.batch = max(self.least_batch, self.batch // 2)
        self._give_back([pk for pk in self.turns if pk in stale or pk not in sendable])
        self._dry = False
        if self._probing and not self.transport.in_flight and not self._in_hand():
            self._withdraw_probe()
        if not self._probing:
            self.permit = breaker.permit(self.adapter.name)
        if not self.permit.free and not self.permit.probe:
            self._give_back(list(self.turns))

    def _lease(self) -> None:
        """Fill up from each run in turn, so that a small campaign never waits for a large one."""
        if self.permit.probe:
            self._lease_probe()
            return
        in_hand = self._in_hand()
        if self._dry or not self.permit.free or in_hand > self.batch // 2:
            return
        if self._leased_at and time.monotonic() - self._leased_at < IN_HAND_SECONDS / 4:
            self.batch = min(2 * self.batch, MAX_BATCH)
        want = self.batch - in_hand
        share = min(want, max(LEAST_SHARE, want // max(1, len(self.runs))))
        found = 0
        for _ in range(len(self.runs)):
            if found >= want:
                break
            self.runs.rotate(-1)
            found += self._lease_from(self.runs[-1], share)
        self._dry = not found
        self._leased_at = time.monotonic()

    def _lease_probe(self) -> None:
        """One message is enough to learn whether the gateway is back."""
        if self._probing:
            return
        self._probing = any(self._lease_from(run, 1) for run in self.runs)
        if not self._probing:
            self._withdraw_probe()

    def _withdraw_probe(self) -> None:
        """There was nothing to send, or its time was over before it could leave."""
        breaker.withdraw(self.adapter.name)
        self._probing, self.permit = False, Permit()

    def _lease_from(self, run: Run, limit: int) -> int:
        turn = self.turns.setdefault(run.pk, Turn(Pacer(f"campaign:{run.campaign_id}", run.campaign.rate_limit)))
        turn.pacer.rate = run.campaign.rate_limit
        if turn.pacer.rate is not None:
            limit = min(limit, max(1, int(turn.pacer.rate * IN_HAND_SECONDS)) - len(turn.queue))
        if limit <= 0:
            return 0
        if not turn.queue:
            turn.leased_at = time.monotonic()
        messages = lease(run, self.token, limit)
        turn.queue.extend(messages)
        if messages:
            self.touched.add(run.pk)
        return len(messages)

    def _start(self) -> None:
        """Let messages leave, one of each run in turn, as far as concurrency and pace allow."""
        moment = now()
        late: list[Leased] = []
        moving = True
        while moving:
            moving = False
            for turn in self.turns.values():
                if not turn.queue:
                    continue
                if self.transport.in_flight >= settings.GATEWAY_CONCURRENCY or not self.pacer.ready():
                    break
                if not turn.pacer.ready():
                    continue
                message = turn.queue.popleft()
                moving = True
                if message.leave_before > moment:
                    self._send(message, moment)
                    turn.pacer.spend()
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
            if outcome.verdict in (Verdict.SENT, Verdict.REFUSED) or outcome.hold is not None:
                breaker.succeeded(name)
            else:
                breaker.probe_failed(name, outcome.reason)
        elif outcome.verdict == Verdict.UNAUTHORISED:
            breaker.refused(name, outcome.reason)
            self._stop_here()
        elif outcome.verdict == Verdict.RETRY:
            self.streak.failure(flight.started, outcome.reason)
        else:
            self.streak.success()

    def _stop_here(self) -> None:
        """Nothing more leaves from this slice until the breaker has been asked again, which is at once."""
        self.permit = Permit()
        self._guarded_at = 0.0
        self._give_back(list(self.turns))

    def _record(self) -> None:
        batch, self.done = self.done, []
        self._recorded_at = time.monotonic()
        record(self.token, batch, idempotent=self.adapter.idempotent)
        self.streak.report(self.adapter.name)
        sent = sum(done.sent for done in batch)
        log.info("recorded", gateway=self.adapter.name, sent=sent, others=len(batch) - sent)

    def _give_back(self, run_ids: list[int]) -> None:
        """Return what has not left, for anyone to lease and look at anew."""
        waiting = [message for pk in run_ids for message in self.turns[pk].queue]
        for pk in run_ids:
            self.turns[pk].queue.clear()
        if waiting:
            release(self.token, waiting)

    def _drain(self) -> None:
        """Nothing new leaves; what is in flight ends and is recorded; the rest goes back."""
        self._give_back(list(self.turns))
        patience = time.monotonic() + GRACE_SECONDS
        while self.transport.in_flight and time.monotonic() < patience:
            self._collect(0.1)
        if self.done:
            self._record()
