"""What a gateway adapter is: pure functions that `build` a request, `parse` its answer, and read receipts. No I/O.

The rules that hold for every HTTP gateway stand here once; an adapter adds how its own gateway says yes.
"""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar, Final, Literal, NamedTuple, NoReturn

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


_ENDS: Final = {"delivered": True, "undelivered": False}
_CODE: Final = re.compile(r"[a-z0-9_]{1,40}")
_CERTAIN: Final = frozenset({Trouble.UNREACHABLE, Trouble.UNRESOLVED, Trouble.TLS, Trouble.TOO_LATE})


def no_json(constant: str) -> NoReturn:
    """Python reads NaN and Infinity, JSON has neither."""
    raise ValueError(constant)


JSON: Final = json.JSONDecoder(parse_constant=no_json)


class Request(NamedTuple):
    """One HTTP request, by the adapter's method; a GET has no body."""

    url: str
    body: bytes = b""


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


class Callback(NamedTuple):
    """What a gateway tells us of its own accord: the parameters of the address that it calls, and the body."""

    query: Mapping[str, str]
    body: bytes


class Receipt(NamedTuple):
    """What became of a message that the gateway accepted. `reason` is a short code where it did not arrive."""

    message_id: int
    delivered: bool
    reason: str = ""


class NotAReceipt(ValueError):
    """A callback that can't be understood; the text says what is wrong."""


class Adapter(ABC):
    """One gateway's language. `name` is the gateway's, for there may be several of a `kind`."""

    kind: ClassVar[str]
    idempotent: ClassVar[bool]
    """Whether the same message id sent again is the same message to the gateway."""
    method: ClassVar[Literal["GET", "POST"]] = "POST"

    def __init__(self, name: str, headers: list[str]) -> None:
        self.name, self.headers = name, headers

    @abstractmethod
    def build(self, message_id: int, phone: int, text: str) -> Request:
        """The request that hands a message over."""

    @abstractmethod
    def parse(self, answer: Answer) -> Outcome:
        """What the gateway's answer means."""

    @abstractmethod
    def check(self) -> Request:
        """A request that sends nothing, and whose refusal shows that the gateway is there and knows us."""

    def checked(self, answer: Answer) -> str:
        """What the answer to `check` finds wrong, as the short code of an outcome; empty if nothing."""
        outcome = outcome_by_status(answer)
        return "" if outcome is None or outcome.verdict == Verdict.REFUSED else outcome.reason

    def parse_receipts(self, callback: Callback) -> list[Receipt]:
        """The receipts that tell how a message ended; what is still under way is none. NotAReceipt if it is nonsense.

        Unless its gateway has a form of its own: JSON, `{"id": 7, "status": "delivered"}` or `"undelivered"` with a
        `reason` if there is one, or a list of such.
        """
        try:
            data = JSON.decode(callback.body.decode())
        except (ValueError, RecursionError):
            raise NotAReceipt("The body is not JSON.") from None
        rows = data if isinstance(data, list) else [data]
        return [_receipt_of(row) for row in rows if not _under_way(row)]


def message_id_of(value: Any) -> int:
    """A message's id as a number or in digits."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**63:
        raise NotAReceipt("There is no message id.")
    return value


def _under_way(row: Any) -> bool:
    return isinstance(row, dict) and isinstance(row.get("status"), str) and row["status"] not in _ENDS


def _receipt_of(row: Any) -> Receipt:
    if not isinstance(row, dict) or not isinstance(row.get("status"), str):
        raise NotAReceipt("A receipt is an object with id and status.")
    reason = row.get("reason")
    code = reason if isinstance(reason, str) and _CODE.fullmatch(reason) else ""
    return Receipt(message_id_of(row.get("id")), _ENDS[row["status"]], code)


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
