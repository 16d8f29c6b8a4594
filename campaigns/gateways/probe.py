"""The `probe` gateway: `POST {url}/send/{msgId}` with a bearer token; `{"code": 0}` means accepted."""

from functools import lru_cache
from json.encoder import encode_basestring

from campaigns.gateways.base import JSON, Adapter, Answer, Outcome, Request, Verdict, not_understood, outcome_by_status

_ACCEPTED = Outcome(Verdict.SENT)


class Probe(Adapter):
    """One message a request. The same id again is the same message to it."""

    kind = "probe"
    idempotent = True

    def __init__(self, url: str, token: str, *, name: str = "") -> None:
        headers = [f"Authorization: Bearer {token}", "Content-Type: application/json", "Accept: application/json"]
        super().__init__(name or self.kind, headers)
        self.url = f"{url.rstrip('/')}/send/"

    def build(self, message_id: int, phone: int, text: str) -> Request:
        """The phone travels as an integer."""
        body = f'{{"id": {message_id}, "phone": {phone}, "text": {encode_basestring(text)}}}'
        return Request(f"{self.url}{message_id}", body.encode())

    def check(self) -> Request:
        """A message without phone and text."""
        return Request(f"{self.url}0", b"{}")

    def parse(self, answer: Answer) -> Outcome:
        """Only 2xx with a JSON object whose code is the number 0 is a yes."""
        return outcome_by_status(answer) or _understood(answer.body)


@lru_cache(maxsize=100)
def _understood(body: bytes) -> Outcome:
    """What a 2xx says; the same bytes say it most of the time."""
    try:
        data = JSON.decode(body.decode("utf-8"))
    except (ValueError, RecursionError):
        return not_understood("not_json")
    if not isinstance(data, dict):
        return not_understood("not_json")
    code = data.get("code")
    if isinstance(code, bool) or code != 0:
        return not_understood("wrong_code")
    return _ACCEPTED
