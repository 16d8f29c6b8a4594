"""A slice: for at most 20 seconds, one worker sends what is due, taking turns among the runs.

The loop never blocks, neither on the network nor on the database: the clerk leases and records while requests are in
flight, and the loop starts as many as concurrency, pace and deadlines allow. What it holds but has not sent soon goes
back, and nothing leaves on an old view, so that pause, cancel and opt-out reach messages that are leased already.
"""

import time
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass

import structlog
from django.conf import settings

from campaigns.connections import Limits
from campaigns.gateways.base import Adapter, Verdict
from campaigns.meters import IN_FLIGHT
from campaigns.models import Run
from campaigns.sending import breaker
from campaigns.sending.breaker import Permit
from campaigns.sending.clerk import Clerk, Taken, View
from campaigns.sending.hand import IN_HAND_SECONDS, Hand
from campaigns.sending.lease import SLICE_SECONDS, Leased, lease_seconds
from campaigns.sending.pace import Pacer
from campaigns.sending.record import Done, record, release
from campaigns.sending.transport import Transport
from project.clock import seconds as clock_seconds

log = structlog.get_logger("vestnik.sending")

# With IN_HAND_SECONDS a view stays within the second after which nothing may leave on an old state.
LOOK_SECONDS, VIEW_SECONDS = 0.1, 0.3
RECORD_SECONDS, RECORD_BATCH = 0.25, 1000
# Longer than any request may take, see GATEWAY_TIMEOUT.
GRACE_SECONDS = 16.0
# A lease costs a transaction, so even the smallest share should be worth one.
LEAST_SHARE, MAX_BATCH, MAX_HAND = 20, 2000, 8000


@dataclass(slots=True)
class InFlight:
    """A request on its way."""

    message: Leased
    probe: bool
    started: float


class Slice:
    """One worker's turn at one gateway: `seconds` at most, and no longer than something is due, plus `linger` seconds.

    `executor` runs the clerk, in threads of its own unless another is given.
    """

    def __init__(
        self,
        adapter: Adapter,
        transport: Transport,
        *,
        stopping: Callable[[], bool] = lambda: False,
        seconds: float = SLICE_SECONDS,
        linger: float = 0.0,
        executor: Executor | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.adapter, self.transport, self.stopping = adapter, transport, stopping
        self.token = uuid.uuid4()
        self.deadline, self.linger = time.monotonic() + seconds, linger
        self.clerk = Clerk(adapter.name, self.token, time.monotonic() + lease_seconds(), executor)
        self.concurrency, rate = limits or Limits(settings.GATEWAY_CONCURRENCY, settings.GATEWAY_RATE)
        self.pacer = Pacer(f"gateway:{adapter.name}", rate)
        self.least_room = 2 * self.concurrency
        if rate:
            self.least_room = min(self.least_room, max(1, int(rate * IN_HAND_SECONDS)))
        self.room = self.least_room
        self.timeout = settings.GATEWAY_TIMEOUT
        self.hand = Hand()
        self.runs: deque[Run] = deque()
        self.done: list[Done] = []
        self.touched: set[int] = set()
        self.view, self.permit = View(), Permit(free=True)
        self.streak = breaker.Streak()
        self._looking: Future[View] | None = None
        self._leasing: Future[list[Taken]] | None = None
        self._probing, self._served = False, 0
        self._unseen = True
        self._asked_at = self._stopped_at = self._recorded_at = self._leased_at = self._busy_at = 0.0

    def run(self) -> set[int]:
        """Send until nothing is due, the gateway stops, or time is up; return the ids of the runs that it moved."""
        whole = False
        try:
            while not self._over():
                self._look()
                self._lease()
                self._start()
                self._collect(0.02)
            whole = True
        finally:
            self._drain(whole=whole)
        return self.touched

    def _over(self) -> bool:
        """Time is up, or there has been nothing to do for a while: nothing in hand, in flight, asked for or due.

        At first, and when something went back, only a look that is asked for later tells what is due.
        """
        moment = time.monotonic()
        if self.stopping() or moment >= self.deadline:
            return True
        may_send = self.view.due and (self.permit.free or self.permit.probe)
        if self.transport.in_flight or self.hand or self._leasing or may_send or self._unseen:
            self._busy_at = moment
            return False
        return self._looking is None and moment - self._busy_at >= self.linger

    def _look(self) -> None:
        """Ten times a second: have the clerk see which runs are due, and ask the breaker."""
        moment = time.monotonic()
        if self._looking is None and moment - self._asked_at >= LOOK_SECONDS:
            if self._probing and not (self.transport.in_flight or self.hand or self._leasing):
                self._withdraw_probe()
            self._asked_at, self._unseen = moment, False
            IN_FLIGHT.set(self.adapter.name, value=self.transport.in_flight)
            self._looking = self.clerk.look(ask_breaker=not (self._probing or self.permit.probe))
        if self._looking is not None and self._looking.done():
            looking, self._looking = self._looking, None
            self._see(looking.result())

    def _see(self, view: View) -> None:
        """Go by what the clerk saw: give back what may not leave, or has waited too long."""
        self.view = view
        # Go on behind the run that was served last, so that everyone gets a turn.
        self.runs = deque(sorted(view.due, key=lambda run: (run.pk <= self._served, run.pk)))
        self.hand.pace(view.sendable)
        stale = self.hand.stale({run.pk for run in view.sendable})
        if stale:
            self.room = max(self.least_room, self.room // 2)
            self._release(stale)
        if view.permit is not None and self._asked_at >= self._stopped_at:
            self.permit = view.permit
        elif view.permit is not None and view.permit.probe:
            self._withdraw_probe()
        # What was leased while everything might leave must not leave as a probe.
        if not (self.permit.free or self._probing):
            self._release(self.hand.everything())

    def _lease(self) -> None:
        """Have the clerk fill up from each run in turn, so that a small campaign never waits for a large one."""
        if self._leasing is not None and self._leasing.done():
            leasing, self._leasing = self._leasing, None
            self._receive(leasing.result())
        if self._leasing is not None:
            return
        if self.permit.probe and not self._probing:
            self._probing, self._leasing = True, self.clerk.lease_one(self.runs)
        elif self.permit.free and self.runs:
            self._fill_up()

    def _fill_up(self) -> None:
        """Lease before the hand is empty, and no more than will leave in half a second."""
        want = min(self.room - len(self.hand), MAX_BATCH)
        if want < self.room // 4:
            return
        moment = time.monotonic()
        if moment - self._leased_at < IN_HAND_SECONDS / 6:
            self.room = min(2 * self.room, MAX_HAND)
        self._leased_at = moment
        self._leasing = self.clerk.lease(self._wishes(want))

    def _wishes(self, want: int) -> list[tuple[Run, int]]:
        """How many messages to ask of which run. One that is asked has its next turn when it has given them all."""
        share = max(LEAST_SHARE, want // len(self.runs))
        wishes = []
        while self.runs and want > 0:
            run = self.runs.popleft()
            self._served = run.pk
            room = self.hand.room(run, min(share, want))
            if room > 0:
                wishes.append((run, room))
                want -= room
        return wishes

    def _receive(self, taken: list[Taken]) -> None:
        """Take in hand what runs gave; one that gave less than it was asked for is left alone until the next look."""
        for run, asked, messages in taken:
            self.touched.add(run.pk)
            self.hand.add(run, messages)
            if len(messages) == asked and run not in self.runs:
                self.runs.append(run)
        # They were asked for while everything might leave.
        if not (self.permit.free or self._probing):
            self._release(self.hand.everything())

    def _withdraw_probe(self) -> None:
        """There was nothing to send, or its time was over before it could leave."""
        self.clerk.write(breaker.withdraw, self.adapter.name)
        self._probing, self.permit = False, Permit()

    def _start(self) -> None:
        """Let messages leave, one of each run in turn, as far as concurrency and pace allow."""
        if time.monotonic() - self.view.at > VIEW_SECONDS:
            return
        moment = clock_seconds()
        free = self.concurrency - self.transport.in_flight
        late: list[Leased] = []
        while free > 0 and self.hand and self.pacer.ready():
            message = self.hand.next()
            if message is None:
                break
            if message.leave_before > moment:
                self._send(message, moment)
                free -= 1
            else:
                late.append(message)
        self._release(late)

    def _send(self, message: Leased, moment: float) -> None:
        request = self.adapter.build(message.id, message.phone, message.text)
        timeout = min(self.timeout, message.leave_before - moment)
        self.transport.submit(InFlight(message, self._probing, time.monotonic()), request, timeout)
        self.pacer.spend()

    def _collect(self, wait: float) -> None:
        """Take what has ended, tell the breaker, and have it recorded when enough has gathered."""
        for flight, answer in self.transport.poll(wait):
            done = Done(flight.message, answer, self.adapter.parse(answer), flight.probe)
            self.done.append(done)
            self._judge(flight, done)
        overdue = time.monotonic() - self._recorded_at > RECORD_SECONDS
        if self.done and (overdue or len(self.done) >= RECORD_BATCH) and not self.clerk.writing:
            self._record()

    def _judge(self, flight: InFlight, done: Done) -> None:
        """What an outcome says of the gateway as a whole."""
        name, outcome = self.adapter.name, done.outcome
        if outcome.hold is not None:
            self.clerk.write(breaker.hold, name, outcome.hold)
            self._stop_here()
        if flight.probe:
            self._probing = False
            self._stop_here()
            if outcome.verdict in (Verdict.SENT, Verdict.REFUSED) or done.answer.status == 429:
                self.clerk.write(breaker.succeeded, name)
            else:
                self.clerk.write(breaker.probe_failed, name, outcome.reason)
        elif outcome.verdict == Verdict.UNAUTHORISED:
            self.clerk.write(breaker.refused, name, outcome.reason)
            self._stop_here()
        elif outcome.verdict != Verdict.RETRY:
            self.streak.success()
        elif done.answer.status != 429 and self.streak.failure(flight.started, outcome.reason):
            self._report()
            self._stop_here()

    def _stop_here(self) -> None:
        """Nothing more leaves from this slice until the breaker has been asked again, which is at once."""
        self.permit = Permit()
        self._stopped_at, self._asked_at = time.monotonic(), 0.0
        self._release(self.hand.everything())

    def _record(self) -> None:
        batch, self.done = self.done, []
        self._recorded_at = time.monotonic()
        self.clerk.write(record, self.token, batch, gateway=self.adapter.name, idempotent=self.adapter.idempotent)
        self._report()

    def _report(self) -> None:
        """Tell the breaker what this slice has seen; a look that is asked for later knows of it."""
        self.clerk.write(breaker.report, self.adapter.name, self.streak.taken())

    def _release(self, messages: list[Leased]) -> None:
        """Return what has not left, for anyone to lease and look at anew."""
        if messages:
            self._unseen = True
            self.clerk.write(release, self.token, messages)

    def _drain(self, *, whole: bool) -> None:
        """Nothing new leaves; what is in flight ends and is recorded; the rest goes back.

        The sweeper looks after what may be left of a slice that is not `whole`, for an error broke it off.
        """
        accounted = False
        try:
            if self._looking is not None and self._looking.exception() is None:
                self._see(self._looking.result())
            if self._leasing is not None and self._leasing.exception() is None:
                self._receive(self._leasing.result())
            self._release(self.hand.everything())
            patience = time.monotonic() + GRACE_SECONDS
            while self.transport.in_flight and time.monotonic() < patience:
                self._collect(0.1)
            if self.done:
                self._record()
            if self.permit.probe:
                self._withdraw_probe()
            accounted = whole and not self.transport.in_flight
        finally:
            IN_FLIGHT.set(self.adapter.name, value=0)
            self.clerk.finish(accounted=accounted)
