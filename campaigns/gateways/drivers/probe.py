"""The `probe` gateway: `POST {url}/send/{msgId}` with a bearer token; `{"code": 0}` means accepted.

A `price` in the answer is what the message costs.
"""

from functools import lru_cache
from json.encoder import encode_basestring
from types import MappingProxyType

from campaigns.gateways.protocol import (
    JSON,
    Answer,
    Connection,
    Driver,
    Outcome,
    Request,
    Verdict,
    _,
    outcome_by_status,
    reported_price,
    unconfirmed,
)

_ACCEPTED = Outcome(Verdict.SENT)


class Probe(Driver):
    """One request per message; a repeated id is the same message."""

    kind = "probe"
    label = _("JSON over HTTP")
    idempotent = True
    reasons = MappingProxyType(
        {
            "not_json": _("The response is not valid"),
            "wrong_code": _("The gateway did not confirm that it accepted the message"),
        }
    )

    def __init__(self, url: str, token: str, *, name: str = "") -> None:
        headers = [f"Authorization: Bearer {token}", "Content-Type: application/json", "Accept: application/json"]
        super().__init__(name or self.kind, headers)
        self.url = f"{url.rstrip('/')}/send/"

    @classmethod
    def connect(cls, connection: Connection) -> "Probe":
        """Create the driver with a bearer token."""
        return cls(connection.url, connection.secret, name=connection.name)

    def build(self, message_id: int, phone: int, text: str, sender: str = "") -> Request:
        """Build the request; the phone is an integer."""
        body = f'{{"id": {message_id}, "phone": {phone}, "text": {encode_basestring(text)}}}'
        return Request(f"{self.url}{message_id}", body.encode())

    def check(self) -> Request:
        """A message without phone and text."""
        return Request(f"{self.url}0", b"{}")

    def parse(self, answer: Answer) -> Outcome:
        """Only a 2xx with a JSON object whose `code` is the number 0 means accepted."""
        return outcome_by_status(answer) or _understood(answer.body)


@lru_cache(maxsize=100)
def _understood(body: bytes) -> Outcome:
    """Return the outcome of a 2xx; cached, because most answers are identical."""
    try:
        data = JSON.decode(body.decode("utf-8"))
    except (ValueError, RecursionError):
        return unconfirmed("not_json")
    if not isinstance(data, dict):
        return unconfirmed("not_json")
    code = data.get("code")
    if isinstance(code, bool) or code != 0:
        return unconfirmed("wrong_code")
    price = reported_price(data.get("price"))
    return _ACCEPTED if price is None else Outcome(Verdict.SENT, price=price)
