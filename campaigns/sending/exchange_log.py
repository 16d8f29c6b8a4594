"""Which outcomes of a send session are logged as exchanges: failures first, and few."""

import time
from collections.abc import Sequence
from itertools import islice
from typing import Final

from campaigns.gateways.exchanges import Quota, Recorder, save_quietly
from campaigns.models import Exchange
from campaigns.sending.outcomes import Completed

_FAILURES_AT_ONCE: Final = 3
_SUCCESS_EVERY_SECONDS: Final = 1.0


class ExchangeLog:
    """The log of one session."""

    def __init__(self, gateway: str) -> None:
        self._gateway, self._quota = gateway, Quota()
        self._recorder: Recorder | None = None
        self._success_at = float("-inf")

    def choose(self, batch: Sequence[Completed]) -> list[Completed]:
        """Return the outcomes to log: some failures, or else a success once a second."""
        failed = list(islice((completed for completed in batch if not completed.sent), _FAILURES_AT_ONCE))
        if failed:
            return failed[: self._quota.take(len(failed))]
        moment = time.monotonic()
        if moment - self._success_at < _SUCCESS_EVERY_SECONDS:
            return []
        self._success_at = moment
        return [*batch[:1]]

    def write(self, chosen: Sequence[Completed]) -> None:
        """Save the chosen outcomes; the database worker calls this."""
        save_quietly(lambda: [self._row(completed) for completed in chosen])

    def _row(self, completed: Completed) -> Exchange:
        if self._recorder is None:
            self._recorder = Recorder(self._gateway)
        message = completed.message
        return self._recorder.sent(
            message.id, message.phone, message.text, completed.answer, completed.outcome, sender=message.sender
        )
