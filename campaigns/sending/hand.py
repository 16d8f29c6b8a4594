"""What a sender holds and has not sent yet: runs take turns, and nothing is held for long."""

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from campaigns.models import Run
from campaigns.sending.lease import Leased
from campaigns.sending.pace import Pacer

IN_HAND_SECONDS = 0.65


@dataclass(slots=True)
class Turn:
    """One run's messages, and its campaign's own pace."""

    run_id: int
    pacer: Pacer
    queue: deque[Leased] = field(default_factory=deque)


class Hand:
    """Messages by run."""

    def __init__(self) -> None:
        self._turns: dict[int, Turn] = {}
        self._order: deque[Turn] = deque()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def room(self, run: Run, limit: int) -> int:
        """How many more messages of `run` to take, `limit` at most: no more than may leave before they grow old."""
        rate = run.campaign.rate_limit
        if rate is None:
            return limit
        held = len(self._turns[run.pk].queue) if run.pk in self._turns else 0
        return min(limit, max(1, int(rate * IN_HAND_SECONDS)) - held)

    def add(self, run: Run, messages: Iterable[Leased]) -> None:
        """Take messages of `run` in hand."""
        turn = self._turns.get(run.pk)
        if turn is None:
            turn = self._turns[run.pk] = Turn(run.pk, Pacer(f"campaign:{run.campaign_id}", None))
            self._order.append(turn)
        turn.pacer.rate = run.campaign.rate_limit
        before = len(turn.queue)
        turn.queue.extend(messages)
        self._size += len(turn.queue) - before

    def pace(self, runs: Iterable[Run]) -> None:
        """Follow a change of those campaigns' rates."""
        for run in runs:
            if run.pk in self._turns:
                self._turns[run.pk].pacer.rate = run.campaign.rate_limit

    def next(self) -> Leased | None:
        """The next message, from each run in turn as far as its pace allows; None if nothing may leave now."""
        for _ in range(len(self._order)):
            turn = self._order[0]
            self._order.rotate(-1)
            if turn.queue and turn.pacer.ready():
                turn.pacer.spend()
                self._size -= 1
                return turn.queue.popleft()
        return None

    def stale(self, sendable: set[int]) -> list[Leased]:
        """Put down what has been held for too long, and all of runs that are no longer `sendable`."""
        since = time.monotonic() - IN_HAND_SECONDS
        down: list[Leased] = []
        for turn in self._turns.values():
            while turn.queue and (turn.run_id not in sendable or turn.queue[0].leased_at < since):
                down.append(turn.queue.popleft())
        self._size -= len(down)
        return down

    def everything(self) -> list[Leased]:
        """Put everything down."""
        return self.stale(set())
