"""The dialect of a provider: the sandbox answers with the examples in the provider's description.

An example contains ids, a phone and a text of its own. They are replaced by those of the message.
"""

import itertools
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, quote_plus, urlencode, urlsplit

from campaigns.gateways.definitions.callbacks import OUR_ID, signature_of
from campaigns.gateways.definitions.paths import Unreadable
from campaigns.gateways.definitions.schema import Definition
from campaigns.gateways.definitions.templates import xml_text
from campaigns.sandbox.answers import CANNED, Answer
from campaigns.sandbox.ledger import ACCEPTED, REPEAT, Message, digest_of
from campaigns.sandbox.reading import RequestReader, shown_secrets
from campaigns.text import measure

_OUTCOMES: Final = {
    ACCEPTED: ("accepted",),
    REPEAT: ("accepted",),
    "refuse": ("refused",),
    "throttle": ("hold",),
    "unavailable": ("retry",),
    "no_money": ("no_money", "refused"),
    "unauthorized": ("unauthorised",),
    "code": ("uncertain",),
}
"""The outcomes of the examples that play an outcome of the sandbox, the best first."""
_CONTENT_TYPES: Final = {
    "json": "application/json",
    "xml": "text/xml; charset=utf-8",
    "form": "application/x-www-form-urlencoded",
    "text": "text/plain; charset=utf-8",
}
_ENCODERS: Final[dict[str, Callable[[str], str]]] = {
    "json": lambda text: json.dumps(text)[1:-1],
    "xml": xml_text,
    "form": quote_plus,
}


class Sent(NamedTuple):
    """A message that a request contains, and the address for its receipts; empty if the request has none."""

    message: Message
    callback: str
    has_own_id: bool
    """Whether the id is the sender's; otherwise each request is another message."""


class CallbackRequest(NamedTuple):
    """A receipt or incoming message on its way to the sender."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


class Dialect:
    """Plays the provider of one description. `token` is the value of all secrets."""

    def __init__(self, definition: Definition, token: str) -> None:
        self.definition, self._token = definition, token
        self._reader = RequestReader(definition.request)
        self._numbers = itertools.count(1)
        self._pull = RequestReader(definition.pull) if definition.pull else None
        self._check = RequestReader(definition.check) if definition.check else None

    def asked_for(self, method: str, url: str, body: bytes) -> str | None:
        """Return the id whose receipt a request asks for; None if it is not such a request."""
        found = self._pull and self._pull.variables(method, url, body)
        return found.get("ids") if found else None

    def pulled(self, provider_id: str, *, delivered: bool) -> Answer:
        """Return the answer to a request for the receipt of one message."""
        for example in self._examples("pulls"):
            expected = example["expect"]
            if len(expected) == 1 and expected[0]["delivered"] == delivered:
                body = str(example["body"]).replace(str(expected[0]["id"]), provider_id)
                return Answer(200, body.encode())
        return CANNED["error"]

    def is_check(self, method: str, url: str, body: bytes) -> bool:
        """Whether this is the request that only checks the account."""
        return self._check is not None and self._check.variables(method, url, body) is not None

    def authorised(self, headers: Mapping[str, str], url: str, body: bytes) -> bool:
        """Whether the request contains the token, if the provider has secrets at all."""
        secret = any(field.secret and field.required for field in self.definition.fields.values())
        return not secret or self._token in shown_secrets(headers, url, body)

    def read(self, method: str, url: str, body: bytes) -> Sent | None:
        """Return the message in a request; None if there is none."""
        try:
            found = self._reader.variables(method, url, body)
        except (ValueError, Unreadable):
            return None
        if found is None:
            return None
        digits = found.get("phone") or found.get("phone_plus") or found.get("phone_national") or ""
        text = found.get("text") or found.get("gsm7_text") or ""
        text = text or _from_hex(found.get("text_hex") or found.get("ucs2_hex") or "")
        phone, callback = digits.removeprefix("+"), found.get("callback", "")
        if not (phone.isascii() and phone.isdecimal() and text):
            return None
        own = found.get("id") or (parse_qs(urlsplit(callback).query).get(OUR_ID) or [""])[0]
        number = int(own) if own.isdecimal() else 10**12 + next(self._numbers)
        digest = digest_of(int(phone), text)
        return Sent(Message(number, int(phone), text, digest), callback, has_own_id=own.isdecimal())

    def ids_for(self, sent: Sent) -> list[str]:
        """Return the provider's ids of an accepted message: one, or one for each part where the provider does so."""
        known = _ids(self._example("accepted", 0))
        most = max((len(_ids(example)) for example in self._examples("answers")), default=1)
        parts = min(measure(sent.message.text).parts, most)
        return [self._new_id(known[0]) for _ in range(parts)] if known else []

    def _new_id(self, known: str) -> str:
        """Another id that looks like a known one."""
        number = next(self._numbers)
        return str(int(known) + number) if known.isdecimal() else f"{known[:12]}-{number}"

    def answer(self, outcome: str, ids: list[str], **headers: str) -> Answer:
        """Return the provider's answer for an outcome of the sandbox."""
        wanted = _OUTCOMES.get(outcome, ())
        example = next(filter(None, (self._example(name, len(ids)) for name in wanted)), None)
        if example is None:
            return CANNED.get(outcome, CANNED["error"])
        body = str(example.get("body", ""))
        for known, new in zip(_ids(example), ids, strict=False):
            body = body.replace(known, new)
        content_type = _CONTENT_TYPES[self.definition.answer.body]
        return Answer(int(example["status"]), body.encode(), content_type, **headers)

    def receipt(self, provider_id: str, message_id: int, callback: str, *, delivered: bool) -> CallbackRequest | None:
        """Return a receipt; None if the description has no example of it."""
        table = self.definition.receipts
        for example in self._examples("receipts") if table else []:
            expected = example.get("expect", [])
            if len(expected) == 1 and expected[0].get("delivered") == delivered:
                new = {"id": provider_id, "message": str(message_id)}
                known = {str(expected[0][name]): value for name, value in new.items() if expected[0].get(name)}
                return self._request(table.body if table else "", example, known, callback)
        return None

    def incoming(self, phone: str, text: str, callback: str) -> CallbackRequest | None:
        """Return an incoming message; None if the provider has none."""
        table = self.definition.incoming
        for example in self._examples("incoming") if table else []:
            expected = example.get("expect", [])
            if len(expected) == 1:
                sign = "+" if str(expected[0]["from"]).startswith("+") else ""
                new = {"from": sign + phone, "text": text, "id": f"in-{next(self._numbers)}"}
                known = {str(expected[0][name]): value for name, value in new.items() if expected[0].get(name)}
                return self._request(table.body if table else "", example, known, callback)
        return None

    def _request(
        self, kind: str, example: Mapping[str, Any], known: Mapping[str, str], callback: str
    ) -> CallbackRequest:
        encode = _ENCODERS.get(kind, str)
        body = str(example.get("body", ""))
        for old, new in known.items():
            if old:
                body = body.replace(encode(old), encode(new)).replace(old, encode(new))
        query = {name: known.get(str(value), str(value)) for name, value in example.get("query", {}).items()}
        query.pop(OUR_ID, None)
        url = f"{callback}&{urlencode(query)}" if query else callback
        headers = {"Content-Type": _CONTENT_TYPES.get(kind, "text/plain")}
        signature = self.definition.callbacks.signature
        if signature is not None:
            headers[signature.header] = signature.prefix + signature_of(signature, self._token, body.encode())
        return CallbackRequest("POST" if body else "GET", url, headers, body.encode())

    def _examples(self, kind: str) -> list[dict[str, Any]]:
        return list(self.definition.examples.get(kind, []))

    def _example(self, outcome: str, ids: int) -> dict[str, Any] | None:
        """The first example of that outcome; of accepted ones, that with as many ids if there is one."""
        found = [example for example in self._examples("answers") if example["outcome"] == outcome]
        same = [example for example in found if ids and len(_ids(example)) == ids]
        return next(iter(same or found), None)


def _ids(example: Mapping[str, Any] | None) -> list[str]:
    return list(example.get("ids", [])) if example else []


def _from_hex(digits: str) -> str:
    try:
        return bytes.fromhex(digits).decode("utf-16-be")
    except ValueError:
        return ""
