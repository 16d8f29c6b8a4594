"""The `kannel` gateway: `sendsms` of Kannel 1.4 over HTTP, receipts at its `dlr-url`, and messages from phones.

User Guide 1.4.5: "Using HTTP to send SMS messages" (the parameters), table 6-7 (the answers), "Delivery reports",
"SMS-service group" (messages from phones, the parameters of `get-url` and `post-url`).
"""

from datetime import UTC, datetime
from email.message import Message
from types import MappingProxyType
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

from campaigns.gateways.protocol import (
    Acknowledgement,
    Answer,
    Callback,
    Connection,
    Driver,
    Incoming,
    InvalidReceipt,
    Outcome,
    Receipt,
    Reported,
    Request,
    Verdict,
    _,
    message_id_of,
    outcome_by_status,
    unconfirmed,
)
from campaigns.text import beyond_gsm7

_ACCEPTED: Final = Outcome(Verdict.SENT)
_SENDSMS: Final = "/cgi-bin/sendsms"
_UNROUTABLE: Final = b"not routable"
# Delivered, not delivered, refused by the message centre. Intermediate receipts (4, 8) are not requested.
_DELIVERED, _FAILED, _REFUSED, _EXPIRED = 1, 2, 16, 32
_MASK: Final = _DELIVERED + _FAILED + _REFUSED


class Kannel(Driver):
    """Kannel's `sendsms`. `callback` is our URL for receipts, which contains a key.

    A repeated request is another message. Requests are GET with all data in the URL, so a URL must never be logged.
    """

    kind = "kannel"
    label = "Kannel"
    idempotent = False
    needs_username = True
    has_senders = True
    method = "GET"
    max_parts = 10  # `max-messages` in docs/gateways.md: Kannel drops further parts and still answers 202
    accepts_by_status = frozenset({202})
    acknowledgement = Acknowledgement()  # Kannel would send a body to the phone
    reasons = MappingProxyType(
        {
            "expired": _("The phone could not be reached in time"),
            "not_accepted": _("The gateway did not confirm that it accepted the message"),
            "not_delivered": _("The message did not reach the phone"),
            "refused_by_centre": _("The operator’s message centre rejected the message"),
            "unroutable": _("The gateway has no route to this number"),
        }
    )
    receipts_help = _(
        "Kannel gets this address for receipts with each message. For messages from phones, configure it as the "
        "post-url of an sms-service."
    )

    def __init__(self, url: str, username: str, password: str, callback: str, *, name: str = "") -> None:
        super().__init__(name or self.kind, [])
        address = url if urlsplit(url).path.strip("/") else url.rstrip("/") + _SENDSMS
        user = urlencode({"username": username, "password": password})
        self._url = f"{address}?{user}&charset=UTF-8&dlr-mask={_MASK}"
        # Kannel replaces %d by the status, so the rest of the address may have no percent sign.
        self._callback = f"{callback}&status=%d&message="

    @classmethod
    def connect(cls, connection: Connection) -> "Kannel":
        """Create the driver with user name and password."""
        return cls(connection.url, connection.username, connection.secret, connection.callback, name=connection.name)

    def build(self, message_id: int, phone: int, text: str, sender: str = "") -> Request:
        """Build the request; UCS-2 only if the text needs it. Without `from` Kannel uses its `default-sender`."""
        callback = quote(f"{self._callback}{message_id}", safe="")
        coding = "&coding=2" if beyond_gsm7(text) else ""
        origin = f"&from={quote(sender, safe='')}" if sender else ""
        words = quote(text.encode("utf-8", "replace"), safe="")
        return Request(f"{self._url}{coding}{origin}&to={phone}&dlr-url={callback}&text={words}")

    def check(self) -> Request:
        """A request without a recipient."""
        return Request(self._url)

    def parse(self, answer: Answer) -> Outcome:
        """202 means accepted: sent, or stored for later. 403 means wrong credentials, except with "not routable"."""
        if answer.failure is None and answer.status in self.accepts_by_status:
            return _ACCEPTED
        if answer.failure is None and answer.status == 403 and _UNROUTABLE in answer.body.lower():
            return Outcome(Verdict.REFUSED, "unroutable")
        return outcome_by_status(answer) or unconfirmed("not_accepted")

    def parse_callback(self, callback: Callback) -> Reported:
        """Return a message from a phone if the address has the parameter `from`, else the receipt."""
        if "from" in callback.query:
            return Reported(incoming=[_incoming(callback)])
        return Reported(self.parse_receipts(callback))

    def parse_receipts(self, callback: Callback) -> list[Receipt]:
        """Return the receipt in the query parameters, if its status is final."""
        status = callback.query.get("status", "")
        if not (status.isascii() and status.isdecimal() and len(status) < 4):
            raise InvalidReceipt("There is no status.")
        message_id, bits = message_id_of(callback.query.get("message")), int(status)
        if bits & (_FAILED | _REFUSED):
            return [Receipt(message_id, delivered=False, reason=_reason(bits))]
        return [Receipt(message_id, delivered=True)] if bits & _DELIVERED else []


def _reason(bits: int) -> str:
    """Why a message did not arrive; an expired one has the bits 32 and 2 (gwlib's `dlr.h`)."""
    if bits & _EXPIRED:
        return "expired"
    return "refused_by_centre" if bits & _REFUSED else "not_delivered"


def _incoming(callback: Callback) -> Incoming:
    """Return the message whose text is the body of a POST, or the parameter `text` of a GET."""
    query = callback.query
    text = _body(callback) if "text" not in query else query["text"]
    return Incoming(query["from"], text, query.get("id", ""), query.get("to", ""), _moment(query.get("time", "")))


def _body(callback: Callback) -> str:
    """Return the body as text. Kannel names UTF-16BE for UCS-2, and its own UTF-8 for what came as GSM-7."""
    head = Message()
    head["Content-Type"] = callback.headers.get("content-type", "")
    charset = head.get_content_charset("utf-8")
    try:
        return callback.body.decode(charset, "replace")
    except (LookupError, ValueError):
        return callback.body.decode("utf-8", "replace")


def _moment(seconds: str) -> datetime | None:
    """Return the time of `%T`, in seconds since 1970; None if it is none."""
    plausible = seconds.isascii() and seconds.isdecimal() and len(seconds) <= 10
    return datetime.fromtimestamp(int(seconds), UTC) if plausible else None
