"""The base of gateway drivers: pure functions that `build` a request, `parse` its answer and its receipts. No I/O.

The rules for every HTTP gateway are here. A driver adds how its own gateway accepts a message.
"""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, NamedTuple, NoReturn

if TYPE_CHECKING:
    from campaigns.gateways.definitions.schema import Definition, Rule

MAX_ANSWER_BYTES: Final = 64 * 1024
KEPT_ANSWER_CHARACTERS: Final = 500
RETRY_AFTER_MIN, RETRY_AFTER_MAX = 1.0, 86_400.0


class Verdict(StrEnum):
    """What an answer means for the message."""

    SENT = "sent"
    RETRY = "retry"
    REFUSED = "refused"
    HELD = "held"
    """The gateway takes no message for `hold` seconds. This one was not accepted, and nothing is wrong with it."""
    UNAUTHORISED = "unauthorised"
    """The gateway takes no message until a person acts: the credentials are wrong, or the account has no money."""


class TransportFailure(StrEnum):
    """Why there is no answer. With the last three, the request may have reached the gateway."""

    NO_FILES = "no_files"
    """This process can't open more files. Nothing was sent, and it says nothing about the gateway."""
    UNREACHABLE = "unreachable"
    UNRESOLVED = "unresolved"
    TLS = "tls"
    TOO_LATE = "too_late"
    TIMEOUT = "timeout"
    RESET = "reset"
    OVERSIZED = "oversized"


_ENDS: Final = {"delivered": True, "undelivered": False}
_MAX_PRICE: Final = 10**6
_CODE: Final = re.compile(r"[a-z0-9_]{1,40}")
_NO_CODE: Final = re.compile(r"[^a-z0-9_]+")
_CERTAIN: Final = frozenset(
    {
        TransportFailure.NO_FILES,
        TransportFailure.UNREACHABLE,
        TransportFailure.UNRESOLVED,
        TransportFailure.TLS,
        TransportFailure.TOO_LATE,
    }
)


def refuse_constant(constant: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python's parser accepts but JSON does not have."""
    raise ValueError(constant)


JSON: Final = json.JSONDecoder(parse_constant=refuse_constant)


class Request(NamedTuple):
    """One HTTP request; a GET has no body. Without `method` and `headers` it has the driver's."""

    url: str
    body: bytes = b""
    method: Literal["GET", "POST"] | None = None
    headers: Sequence[str] | None = None


class Answer(NamedTuple):
    """The result of a request: an HTTP answer, or why there is none. `retry_after` is in seconds."""

    status: int = 0
    body: bytes = b""
    retry_after: float | None = None
    failure: TransportFailure | None = None
    duration_ms: int = 0


class Outcome(NamedTuple):
    """The meaning of an answer. `reason` is a short code.

    `uncertain`: the gateway may have accepted nevertheless. `hold` (seconds) stops all messages to the gateway, not
    only this one. `price` is what the gateway says that an accepted message costs, with all its parts. `ids` are the
    gateway's own ids of an accepted message: one, or one for each part.
    """

    verdict: Verdict
    reason: str = ""
    uncertain: bool = False
    hold: float | None = None
    price: Decimal | None = None
    ids: tuple[str, ...] = ()


class Callback(NamedTuple):
    """A request from a gateway: query parameters, body, headers by lowercase name, and the IP address it came from."""

    query: Mapping[str, str]
    body: bytes
    headers: Mapping[str, str] = MappingProxyType({})
    address: str = ""


class Receipt(NamedTuple):
    """The gateway's report on an accepted message, by our id or by the gateway's own.

    `reason` is a short code if it was not delivered. `price` is as in `Outcome`.
    """

    message_id: int | None
    delivered: bool
    reason: str = ""
    price: Decimal | None = None
    provider_id: str = ""


class Incoming(NamedTuple):
    """A message from a phone. `phone` and `recipient` (the number or name it was sent to) are as the gateway has them.

    `sent_at` has a time zone; None: the gateway does not say when.
    """

    phone: str
    text: str
    provider_id: str = ""
    recipient: str = ""
    sent_at: datetime | None = None


class Reported(NamedTuple):
    """What a callback reports."""

    receipts: Sequence[Receipt] = ()
    incoming: Sequence[Incoming] = ()


class Acknowledgement(NamedTuple):
    """The answer that a gateway expects to its callbacks."""

    status: int = 200
    content_type: str = "text/plain"
    body: str = ""


class InvalidReceipt(ValueError):
    """A callback that can't be read; the text says why."""


class Connection(NamedTuple):
    """How to reach a gateway. `callback` is the URL for its receipts; it contains a key, so it is secret, too.

    `fields` are what its description asks for, secrets included.
    """

    name: str
    url: str = ""
    username: str = ""
    secret: str = ""
    callback: str = ""
    definition: "Definition | None" = None
    fields: Mapping[str, str] = MappingProxyType({})


def _(text: str) -> str:
    """Mark a label for translation; this package does not depend on Django."""
    return text


class Driver(ABC):
    """Speaks the protocol of one gateway kind, and describes it. `name` is the gateway's name."""

    kind: ClassVar[str]
    """The name of the kind in settings and in the database."""
    label: ClassVar[str]
    """The name of the kind on pages, in English."""
    idempotent: bool
    """Whether the same message id sent again is the same message to the gateway."""
    needs_username: ClassVar[bool] = False
    """Whether it authenticates with user name and password; otherwise with a token."""
    addable: ClassVar[bool] = True
    """Whether administrators may add gateways of this kind on the pages."""
    described: ClassVar[bool] = False
    """Whether each gateway of this kind has a description of its provider. The settings can't contain one."""
    offline: ClassVar[bool] = False
    """Whether requests are only logged."""
    method: Literal["GET", "POST"] = "POST"
    max_parts: int | None = None
    """The most parts that the gateway sends completely; None: no limit."""
    accepts_by_status: ClassVar[frozenset[int]] = frozenset()
    """The statuses that mean accepted, whatever the body says."""
    reasons: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """The texts of its own reason codes, in English and marked for translation."""
    has_senders: bool = False
    """Whether it takes a sender name with each message."""
    secrets: Collection[str] = ()
    """What must not be shown of its answers, in the spellings in which others may repeat it."""
    pull_batch: int = 0
    """How many provider's ids one request for receipts may contain; 0: receipts come by themselves, or not at all."""
    acknowledgement: Acknowledgement | None = None
    """The answer that it expects to its callbacks; None: any 200."""
    receipts_help: ClassVar[str] = _("Configure this address at the gateway.")
    """How the gateway learns the address for its receipts, in English."""

    def __init__(self, name: str, headers: list[str]) -> None:
        self.name, self.headers = name, headers

    @classmethod
    @abstractmethod
    def connect(cls, connection: Connection) -> "Driver":
        """Return the driver of a gateway."""

    @abstractmethod
    def build(self, message_id: int, phone: int, text: str, sender: str = "") -> Request:
        """Return the request that sends a message. `sender`: its sender name; empty: the gateway's own."""

    @abstractmethod
    def parse(self, answer: Answer) -> Outcome:
        """Return the meaning of the gateway's answer."""

    @abstractmethod
    def check(self) -> Request:
        """Return a request that sends nothing.

        Its refusal shows that the gateway is reachable and accepts the credentials.
        """

    def checked(self, answer: Answer) -> str:
        """Return the reason why `check` failed, or an empty string."""
        outcome = outcome_by_status(answer)
        return "" if outcome is None or outcome.verdict == Verdict.REFUSED else outcome.reason

    def pull(self, ids: Sequence[str]) -> Request:
        """Return the request for the receipts of at most `pull_batch` messages, by the provider's ids."""
        raise NotImplementedError

    def pulled(self, ids: Sequence[str], body: bytes) -> list[Receipt]:
        """Return the final receipts in the answer to `pull`. Raises InvalidReceipt."""
        raise NotImplementedError

    def balance(self, answer: Answer) -> str:
        """Return the balance of the account in the answer to `check`; an empty string if it does not say."""
        return ""

    def rule_of(self, answer: Answer) -> "tuple[int, Rule] | None":
        """Return the rule of the description that `parse` follows, and its number; None if there is none."""
        return None

    def parse_callback(self, callback: Callback) -> Reported:
        """Return what the gateway reports. Raises InvalidReceipt."""
        return Reported(self.parse_receipts(callback))

    def parse_receipts(self, callback: Callback) -> list[Receipt]:
        """Return the receipts with a final status; intermediate ones are ignored. Raises InvalidReceipt.

        The default format is JSON: `{"id": 7, "status": "delivered"}` or `"undelivered"`, optionally with `reason` and
        `price`, or a list of these.
        """
        try:
            data = JSON.decode(callback.body.decode())
        except (ValueError, RecursionError):
            raise InvalidReceipt("The body is not JSON.") from None
        rows = data if isinstance(data, list) else [data]
        return [_receipt_of(row) for row in rows if not _is_intermediate(row)]


def message_id_of(value: Any) -> int:
    """Return a message id that is given as a number or as digits."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**63:
        raise InvalidReceipt("There is no message id.")
    return value


def code_of(text: str) -> str:
    """Return a text as a reason code."""
    return _NO_CODE.sub("_", text.lower())[:40].strip("_")


def _is_intermediate(row: Any) -> bool:
    return isinstance(row, dict) and isinstance(row.get("status"), str) and row["status"] not in _ENDS


def _receipt_of(row: Any) -> Receipt:
    if not isinstance(row, dict) or not isinstance(row.get("status"), str):
        raise InvalidReceipt("A receipt is an object with id and status.")
    reason = row.get("reason")
    code = reason if isinstance(reason, str) and _CODE.fullmatch(reason) else ""
    return Receipt(message_id_of(row.get("id")), _ENDS[row["status"]], code, reported_price(row.get("price")))


def reported_price(value: Any) -> Decimal | None:
    """Return a price that a gateway reports as a number or text; None if it is none, or has more than six places."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        price = Decimal(str(value))
    except InvalidOperation:
        return None
    plausible = price.is_finite() and 0 <= price <= _MAX_PRICE and price == round(price, 6)
    return price if plausible else None


def outcome_by_status(answer: Answer) -> Outcome | None:
    """Return the outcome that the status alone determines; None for 2xx, which the driver reads."""
    if answer.failure is not None:
        return Outcome(Verdict.RETRY, answer.failure.value, uncertain=answer.failure not in _CERTAIN)
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


def unconfirmed(reason: str) -> Outcome:
    """Return the outcome of a 2xx that does not confirm acceptance: uncertain, so the message is retried."""
    return Outcome(Verdict.RETRY, reason, uncertain=True)
