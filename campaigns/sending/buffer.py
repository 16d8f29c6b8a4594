"""The send buffer: leased messages that wait to be sent. Runs take turns, and no message waits for long."""

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from campaigns.sending.decisions import Leased
from campaigns.sending.rate_limit import RateLimiter

MAX_BUFFERED_SECONDS = 0.65


class SendableRun(NamedTuple):
    """A run that may send. A model object would cost more than all else that is done for a run ten times a second."""

    id: int
    campaign_id: int
    rate_limit: float | None
    """Messages per second."""
    first_due: datetime | None
    """The first due time of its pending messages."""


@dataclass(slots=True)
class RunQueue:
    """The messages of one run, and the rate limiter of its campaign."""

    run_id: int
    rate_limiter: RateLimiter
    messages: deque[Leased] = field(default_factory=deque)


class SendBuffer:
    """Leased messages, grouped by run."""

    def __init__(self) -> None:
        self._queues: dict[int, RunQueue] = {}
        self._order: deque[RunQueue] = deque()
        self._due: set[int] = set()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def update(self, sendable: Iterable[SendableRun], due: Iterable[SendableRun]) -> None:
        """Apply the current rates of campaigns; from now on, rates are reserved for the runs that are due."""
        for run in sendable:
            if run.id in self._queues:
                self._queues[run.id].rate_limiter.rate = run.rate_limit
        for run in due:
            self._queue(run)
        self._due = {run.id for run in due}

    def room(self, run: SendableRun, limit: int, moment: float) -> int:
        """How many more messages of `run` to lease, at most `limit`: no more than its rate allows to send soon."""
        queue = self._queue(run)
        return int(min(limit, queue.rate_limiter.reserved(moment) - len(queue.messages)))

    def add(self, run: SendableRun, messages: Iterable[Leased]) -> None:
        """Add leased messages of `run`."""
        queue = self._queue(run)
        size_before = len(queue.messages)
        queue.messages.extend(messages)
        self._size += len(queue.messages) - size_before

    def rate_limiters(self) -> list[RateLimiter]:
        """The rate limiters of the runs that have messages, here or due."""
        return [queue.rate_limiter for queue in self._queues.values() if queue.messages or queue.run_id in self._due]

    def next(self, moment: float) -> Leased | None:
        """Remove and return the next message, taking runs in turn; None if no run's rate limit allows one now."""
        for _ in range(len(self._order)):
            queue = self._order[0]
            self._order.rotate(-1)
            if queue.messages and queue.rate_limiter.ready(moment):
                queue.rate_limiter.spend()
                self._size -= 1
                return queue.messages.popleft()
        return None

    def take_stale(self, sendable: set[int]) -> list[Leased]:
        """Remove and return messages that waited too long, and all messages of runs that are not `sendable`."""
        oldest = time.monotonic() - MAX_BUFFERED_SECONDS
        removed: list[Leased] = []
        for queue in self._queues.values():
            while queue.messages and (queue.run_id not in sendable or queue.messages[0].leased_at < oldest):
                removed.append(queue.messages.popleft())
        self._size -= len(removed)
        return removed

    def take_all(self) -> list[Leased]:
        """Remove and return all messages."""
        return self.take_stale(set())

    def _queue(self, run: SendableRun) -> RunQueue:
        """The run's queue, at its campaign's rate."""
        queue = self._queues.get(run.id)
        if queue is None:
            rate_limiter = RateLimiter(f"campaign:{run.campaign_id}", run.rate_limit)
            queue = self._queues[run.id] = RunQueue(run.id, rate_limiter)
            self._order.append(queue)
        return queue
