"""The record of what reached the sandbox: which messages were accepted, how often, and with what payload."""

import json
import time
from collections import Counter, deque
from hashlib import blake2b
from typing import IO, Any, Final, NamedTuple

LAST: Final = 50
# The outcomes of a request, besides the kinds of fault.
ACCEPTED, REPEAT, CONFLICT = "accepted", "repeat", "conflict"
INVALID, DENIED, OUTAGE, GONE = "invalid", "denied", "outage", "gone"


class Message(NamedTuple):
    """A message as received; `digest` shows whether two with the same id are equal."""

    id: int
    phone: int
    text: str
    digest: bytes


class Acceptance(NamedTuple):
    """How often a message was accepted, its payload, and when first and last (seconds since the epoch)."""

    times: int
    digest: bytes
    first_at: float
    last_at: float


class Arrival(NamedTuple):
    """One of the last requests: time (seconds since the epoch), message and outcome."""

    at: float
    message: Message
    outcome: str


def digest_of(phone: int, text: str) -> bytes:
    """An eight-byte digest of a payload; UnicodeEncodeError if `text` is not valid Unicode."""
    return blake2b(f"{phone}:{text}".encode(), digest_size=8).digest()


class Ledger:
    """Counts and records of all requests since the start or the last `clear`.

    `log`, if given, gets one JSON line per request, to compare with the sender's database.
    """

    def __init__(self, log: IO[str] | None = None) -> None:
        self._log = log
        self.clear()

    def clear(self) -> None:
        """Delete all counts and records."""
        self.messages: dict[int, Acceptance] = {}
        self.last: deque[Arrival] = deque(maxlen=LAST)
        self.outcomes: Counter[str] = Counter()
        self.requests = self.repeats = self.conflicts = self.early = self.redirected = 0
        self._hold_announced_at = self._held_until = 0.0

    @property
    def accepted(self) -> int:
        """Distinct messages accepted."""
        return len(self.messages)

    def arrive(self, moment: float, grace: float) -> None:
        """Count a request at `moment` (monotonic); it is early if it comes within a hold, after the grace period."""
        self.requests += 1
        if self._hold_announced_at + grace < moment < self._held_until:
            self.early += 1

    def hold(self, moment: float, seconds: float) -> None:
        """Record that a sender was asked at `moment` to wait for `seconds`."""
        if moment >= self._held_until:
            self._hold_announced_at = moment
        self._held_until = max(self._held_until, moment + seconds)

    def accept(self, message: Message, at: float) -> str:
        """Record an accepted `message`, unless its id has another payload: ACCEPTED, REPEAT or CONFLICT."""
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
        """Count the outcome of a request that arrived `at` (epoch) or `moment` (monotonic)."""
        self.outcomes[outcome] += 1
        if message is not None:
            self.last.append(Arrival(at, message, outcome))
        if self._log is not None:
            took = round(time.monotonic() - moment, 6)
            payload = message and message.digest.hex()
            entry = {"at": at, "monotonic": moment, "took": took, "id": msg_id, "outcome": outcome, "payload": payload}
            self._log.write(json.dumps(entry) + "\n")

    def stats(self) -> dict[str, Any]:
        """The counts: distinct accepted ids, and requests by outcome."""
        return {
            "requests": self.requests,
            "accepted": self.accepted,
            "repeats": self.repeats,
            "conflicts": self.conflicts,
            "early": self.early,
            "redirected": self.redirected,
            "outcomes": dict(self.outcomes),
        }
