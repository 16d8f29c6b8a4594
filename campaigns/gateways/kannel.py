"""The `kannel` gateway: `sendsms` of Kannel 1.4 over HTTP, and the receipts that it sends to `dlr-url`.

User Guide 1.4.5: "Using HTTP to send SMS messages" (the parameters), table 6-7 (the answers), "Delivery reports".
"""

from typing import Final
from urllib.parse import quote, urlencode, urlsplit

from campaigns.gateways.base import (
    Adapter,
    Answer,
    Callback,
    NotAReceipt,
    Outcome,
    Receipt,
    Request,
    Verdict,
    message_id_of,
    not_understood,
    outcome_by_status,
)
from campaigns.text import beyond_gsm7

_ACCEPTED: Final = Outcome(Verdict.SENT)
_SENDSMS: Final = "/cgi-bin/sendsms"
_UNROUTABLE: Final = b"not routable"
# Delivered, not delivered, and refused by the message centre: of what is under way (4, 8) nothing need be told.
_MASK: Final = 1 + 2 + 16
_DELIVERED: Final = 1
_UNDELIVERED: Final = {2: "not_delivered", 16: "refused_by_centre"}


class Kannel(Adapter):
    """Kannel's `sendsms`. `callback` is the address of ours, with its key, that receipts come to.

    The same request again is another message to it. It takes GET with everything in the address, so that one is never
    to be logged.
    """

    kind = "kannel"
    idempotent = False
    method = "GET"

    def __init__(self, url: str, username: str, password: str, callback: str, *, name: str = "") -> None:
        super().__init__(name or self.kind, [])
        address = url if urlsplit(url).path.strip("/") else url.rstrip("/") + _SENDSMS
        user = urlencode({"username": username, "password": password})
        self._url = f"{address}?{user}&charset=UTF-8&dlr-mask={_MASK}"
        # Kannel replaces %d by the status, so the rest of the address may have no percent sign.
        self._callback = f"{callback}&status=%d&message="

    def build(self, message_id: int, phone: int, text: str) -> Request:
        """UCS-2 only where the text needs it."""
        callback = quote(f"{self._callback}{message_id}", safe="")
        coding = "&coding=2" if beyond_gsm7(text) else ""
        words = quote(text.encode("utf-8", "replace"), safe="")
        return Request(f"{self._url}{coding}&to={phone}&dlr-url={callback}&text={words}")

    def check(self) -> Request:
        """A message to nobody."""
        return Request(self._url)

    def parse(self, answer: Answer) -> Outcome:
        """202 is a yes: sent on, or kept until there is a way. 403 is about us unless it says that the phone is."""
        if answer.trouble is None and answer.status == 202:
            return _ACCEPTED
        if answer.trouble is None and answer.status == 403 and _UNROUTABLE in answer.body.lower():
            return Outcome(Verdict.REFUSED, "unroutable")
        return outcome_by_status(answer) or not_understood("not_accepted")

    def parse_receipts(self, callback: Callback) -> list[Receipt]:
        """One, by the parameters of the address."""
        status = callback.query.get("status", "")
        if not (status.isascii() and status.isdecimal() and len(status) < 4):
            raise NotAReceipt("There is no status.")
        message_id, code = message_id_of(callback.query.get("message")), int(status)
        if code in _UNDELIVERED:
            return [Receipt(message_id, delivered=False, reason=_UNDELIVERED[code])]
        return [Receipt(message_id, delivered=True)] if code == _DELIVERED else []
