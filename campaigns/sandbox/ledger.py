"""What reached the sandbox: the oracle that says which messages were accepted, how often, and with what payload."""

import json
import time
from collections import Counter, deque
from hashlib import blake2b
from typing import IO, Any, Final, NamedTuple

LAST: Final = 50
# What may come of a request, besides the kinds of fault.
ACCEPTED, REPEAT, CONFLICT = "accepted", "repeat", "conflict"
INVALID, DENIED, OUTAGE, GONE = "invalid", "denied", "outage", "gone"


class Message(NamedTuple):
    """One message as it came; `digest` tells whether two of the same id are the same."""

    id: int
    phone: int
    text: str
    digest: bytes


class Acceptance(NamedTuple):
    """How often a message was accepted, with what payload, and when first and last (seconds since the epoch)."""

    times: int
    digest: bytes
    first_at: float
    last_at: float


class Arrival(NamedTuple):
    """One request of the last few: when (seconds since the epoch), what it asked for, and what came of it."""

    at: float
    message: Message
    outcome: str


def digest_of(phone: int, text: str) -> bytes:
    """Eight bytes that stand for a payload; UnicodeEncodeError if `text` isn't valid Unicode."""
    return blake2b(f"{phone}:{text}".encode(), digest_size=8).digest()


class Ledger:
    """Counts and records, of all requests since the start or the last `clear`.

    `log`, if given, gets one JSON line a request, to be joined with what the sender believes.
    """

    def __init__(self, log: IO[str] | None = None) -> None:
        self._log = log
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.messages: dict[int, Acceptance] = {}
        self.last: deque[Arrival] = deque(maxlen=LAST)
        self.outcomes: Counter[str] = Counter()
        self.requests = self.repeats = self.conflicts = self.early = self.redirected = 0
        self._hold_told_at = self._held_until = 0.0

    @property
    def accepted(self) -> int:
        """Distinct messages accepted."""
        return len(self.messages)

    def arrive(self, moment: float, grace: float) -> None:
        """Count a request at `moment` (monotonic seconds): early if within a hold, and not just after it was told."""
        self.requests += 1
        if self._hold_told_at + grace < moment < self._held_until:
            self.early += 1

    def hold(self, moment: float, seconds: float) -> None:
        """Remember that a sender was told at `moment` to wait for `seconds`."""
        if moment >= self._held_until:
            self._hold_told_at = moment
        self._held_until = max(self._held_until, moment + seconds)

    def accept(self, message: Message, at: float) -> str:
        """Record that the gateway takes `message`, unless another payload has its id: ACCEPTED, REPEAT or CONFLICT."""
        known = self.messages.get(message.id)
        if known is None:
            self.messages[message.id] = Acceptance(1, message.digest, at, at)
            return ACCEPTED
        if known.digest != message.digest:
            self.conflicts += 1
            return CONFLICT
        self.messages[message.id] = Acceptance(known.times + 1, known.digest, known.first_at, at)
        self.repeats += 1
        return REPEAT

    def conclude(self, outcome: str, at: float, moment: float, msg_id: int | None, message: Message | None) -> None:
        """Count a request that is decided; it arrived `at` by the epoch, at `moment` by the monotonic clock."""
        self.outcomes[outcome] += 1
        if message is not None:
            self.last.append(Arrival(at, message, outcome))
        if self._log is not None:
            took = round(time.monotonic() - moment, 6)
            payload = message and message.digest.hex()
            entry = {"at": at, "monotonic": moment, "took": took, "id": msg_id, "outcome": outcome, "payload": payload}
            self._log.write(json.dumps(entry) + "\n")

    def stats(self) -> dict[str, Any]:
        """The counts: distinct ids accepted, and each request by what came of it."""
        return {
            "requests": self.requests,
            "accepted": self.accepted,
            "repeats": self.repeats,
            "conflicts": self.conflicts,
            "early": self.early,
            "redirected": self.redirected,
            "outcomes": dict(self.outcomes),
        }
