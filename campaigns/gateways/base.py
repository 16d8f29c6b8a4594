"""What a gateway adapter is: two pure functions, `build` a request and `parse` an answer. It does no I/O.

The rules that hold for every HTTP gateway stand here once; an adapter adds how its own gateway says yes.
"""

from enum import StrEnum
from typing import Final, NamedTuple, Protocol

MAX_ANSWER_BYTES: Final = 64 * 1024
KEPT_ANSWER_CHARACTERS: Final = 500
RETRY_AFTER_MIN, RETRY_AFTER_MAX = 1.0, 900.0


class Verdict(StrEnum):
    """What an answer means for the message."""

    SENT = "sent"
    RETRY = "retry"
    REFUSED = "refused"
    UNAUTHORISED = "unauthorised"


class Trouble(StrEnum):
    """Why there is no answer. The last three may have reached the gateway."""

    UNREACHABLE = "unreachable"
    UNRESOLVED = "unresolved"
    TLS = "tls"
    TOO_LATE = "too_late"
    TIMEOUT = "timeout"
    RESET = "reset"
    OVERSIZED = "oversized"


_CERTAIN: Final = frozenset({Trouble.UNREACHABLE, Trouble.UNRESOLVED, Trouble.TLS, Trouble.TOO_LATE})


class Request(NamedTuple):
    """One HTTP POST."""

    url: str
    body: bytes


class Answer(NamedTuple):
    """What came back: an HTTP answer, or the trouble that kept it away. `retry_after` in seconds."""

    status: int = 0
    body: bytes = b""
    retry_after: float | None = None
    trouble: Trouble | None = None
    duration_ms: int = 0


class Outcome(NamedTuple):
    """An answer's meaning. `reason` is a short code for grouping; `uncertain`: it may have been accepted all the same.

    `hold` (seconds) keeps every message from the gateway, not just this one.
    """

    verdict: Verdict
    reason: str = ""
    uncertain: bool = False
    hold: float | None = None


class Adapter(Protocol):
    """One gateway's language."""

    name: str
    headers: list[str]
    idempotent: bool
    """Whether the same message id sent again is the same message to the gateway."""

    def build(self, message_id: int, phone: int, text: str) -> Request:
        """The request that hands a message over."""
        ...

    def parse(self, answer: Answer) -> Outcome:
        """What the gateway's answer means."""
        ...


def outcome_by_status(answer: Answer) -> Outcome | None:
    """The outcome that the status alone decides, the same for every gateway; None for 2xx, which the adapter reads."""
    if answer.trouble is not None:
        return Outcome(Verdict.RETRY, answer.trouble.value, uncertain=answer.trouble not in _CERTAIN)
    status, reason = answer.status, f"http_{answer.status}"
    if 200 <= status < 300:
        return None
    if status in (401, 403):
        return Outcome(Verdict.UNAUTHORISED, reason)
    if status in (408, 425, 429) or status >= 500:
        hold = None
        if answer.retry_after is not None:
            hold = min(max(answer.retry_after, RETRY_AFTER_MIN), RETRY_AFTER_MAX)
        return Outcome(Verdict.RETRY, reason, uncertain=status >= 500 and status != 503, hold=hold)
    if 400 <= status < 500:
        return Outcome(Verdict.REFUSED, reason)
    return Outcome(Verdict.RETRY, "redirect" if 300 <= status < 400 else reason)


def not_understood(reason: str) -> Outcome:
    """A 2xx that does not say yes: the gateway may have accepted, so the same message is tried again."""
    return Outcome(Verdict.RETRY, reason, uncertain=True)
