"""The send buffer: leased messages that wait to be sent. Runs take turns, and no message waits for long."""

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from campaigns.models import Run
from campaigns.sending.decisions import Leased
from campaigns.sending.rate_limit import RateLimiter

MAX_BUFFERED_SECONDS = 0.65


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
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def room(self, run: Run, limit: int) -> int:
        """How many more messages of `run` to lease, at most `limit`: no more than its rate can send in time."""
        rate = run.campaign.rate_limit
        if rate is None:
            return limit
        held = len(self._queues[run.pk].messages) if run.pk in self._queues else 0
        return min(limit, max(1, int(rate * MAX_BUFFERED_SECONDS)) - held)

    def add(self, run: Run, messages: Iterable[Leased]) -> None:
        """Add leased messages of `run`."""
        queue = self._queues.get(run.pk)
        if queue is None:
            queue = self._queues[run.pk] = RunQueue(run.pk, RateLimiter(f"campaign:{run.campaign_id}", None))
            self._order.append(queue)
        queue.rate_limiter.rate = run.campaign.rate_limit
        size_before = len(queue.messages)
        queue.messages.extend(messages)
        self._size += len(queue.messages) - size_before

    def update_rates(self, runs: Iterable[Run]) -> None:
        """Apply the current rates of these runs' campaigns."""
        for run in runs:
            if run.pk in self._queues:
                self._queues[run.pk].rate_limiter.rate = run.campaign.rate_limit

    def rate_limiters(self) -> list[RateLimiter]:
        """The rate limiters of the runs that have messages."""
        return [queue.rate_limiter for queue in self._queues.values() if queue.messages]

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
