"""Build requests from a description: compiled once for each gateway, and filled in for each message."""

from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import phonenumbers

from campaigns.gateways.definitions.schema import Auth, RequestTable
from campaigns.gateways.definitions.templates import (
    HEADER,
    URL_PATH,
    XML,
    Known,
    Piece,
    Variable,
    fill_all,
    fill_json,
    fill_pairs,
    variables,
)
from campaigns.gateways.protocol import Request
from campaigns.text import beyond_gsm7, measure


class Outgoing(NamedTuple):
    """A message that is being sent. `callback` is the address for its receipts, and ends where its id belongs.

    `ids` are the provider's ids in a request for receipts.
    """

    id: int = 0
    phone: int = 0
    text: str = ""
    sender: str = ""
    callback: str = ""
    ids: str = ""


def _national(phone: int) -> str:
    try:
        return phonenumbers.national_significant_number(phonenumbers.parse(f"+{phone}"))
    except phonenumbers.NumberParseException:
        return str(phone)


def _hex(text: str) -> str:
    return text.encode("utf-16-be", "replace").hex().upper()


_BY_ENCODING: Final = frozenset({"encoding", "gsm7_text", "ucs2_hex"})
_VALUES: Final[dict[str, Callable[[Outgoing], str]]] = {
    "id": lambda message: str(message.id),
    "phone": lambda message: str(message.phone),
    "phone_plus": lambda message: f"+{message.phone}",
    "phone_national": lambda message: _national(message.phone),
    "text": lambda message: message.text,
    "text_hex": lambda message: _hex(message.text),
    "gsm7_text": lambda message: message.text,
    "ucs2_hex": lambda message: _hex(message.text),
    "sender": lambda message: message.sender,
    "parts": lambda message: str(measure(message.text).parts),
    "callback": lambda message: f"{message.callback}{message.id}",
    "ids": lambda message: message.ids,
}


class _Text(NamedTuple):
    """A compiled text: a `%` format, and what goes into it."""

    pattern: str
    values: tuple[Callable[[Outgoing], str], ...]

    def filled(self, message: Outgoing) -> str:
        """The text for a message."""
        return self.pattern % tuple([value(message) for value in self.values])


class _Variant(NamedTuple):
    url: _Text
    body: _Text


class RequestBuilder:
    """Builds the requests of one table of a description. `fields` are the gateway's address and fields."""

    def __init__(self, table: RequestTable, fields: Known) -> None:
        self.headers = _headers(table, fields)
        self.method = table.method
        self._charset = table.charset
        self._by_encoding = any(variables(template) & _BY_ENCODING for template in table.templates())
        by_encoding = (
            (False, {"encoding": table.encodings.gsm7, "ucs2_hex": ""}),
            (True, {"encoding": table.encodings.ucs2, "gsm7_text": ""}),
        )
        self._variants = {
            (named, wide): _variant(table, {**fields, **known}, named=named)
            for named in (False, True)
            for wide, known in by_encoding
        }

    def build(self, message: Outgoing) -> Request:
        """Build the request for a message."""
        wide = self._by_encoding and bool(beyond_gsm7(message.text))
        variant = self._variants[bool(message.sender), wide]
        body = variant.body.filled(message).encode(self._charset, "xmlcharrefreplace")
        return Request(variant.url.filled(message), body)


def _variant(table: RequestTable, fields: Known, *, named: bool) -> _Variant:
    """Compile a request for messages with or without a sender name, in one of the encodings."""
    known = {**fields, **({} if named else {"sender": ""})}
    address = [fields["url"].rstrip("/"), *fill_all(table.url.removeprefix("{url}"), known, URL_PATH)]
    query = fill_pairs(table.query, known, table.charset)
    if query:
        address += ["&" if "?" in table.url or "?" in fields["url"] else "?", *query]
    return _Variant(_compiled(address), _compiled(_body(table, known)))


def _body(table: RequestTable, known: Known) -> list[Piece]:
    if table.form is not None:
        return fill_pairs(table.form, known, table.charset)
    if table.body_json is not None:
        return fill_json(table.body_json, known) or ["{}"]
    return fill_all(table.xml or "", known, XML)


def _compiled(pieces: Sequence[Piece]) -> _Text:
    pattern, values = [], []
    for piece in pieces:
        if isinstance(piece, str):
            pattern.append(piece.replace("%", "%%"))
        else:
            pattern.append("%s")
            values.append(_escaped(piece))
    return _Text("".join(pattern), tuple(values))


def _escaped(variable: Variable) -> Callable[[Outgoing], str]:
    value, escape = _VALUES[variable.name], variable.escape
    return lambda message: escape(value(message))


def _headers(table: RequestTable, fields: Known) -> list[str]:
    headers = [f"{name}: {_static(template, fields)}" for name, template in table.headers.items()]
    if table.auth is not None:
        headers.append(f"Authorization: {_authorization(table.auth, fields)}")
    names = {name.lower() for name in table.headers}
    content_type = _content_type(table)
    if content_type and "content-type" not in names:
        headers.append(f"Content-Type: {content_type}")
    return headers


def _authorization(auth: Auth, fields: Known) -> str:
    if auth.type == "bearer":
        return f"Bearer {_static(auth.token, fields)}"
    pair = f"{_static(auth.username, fields)}:{_static(auth.password, fields)}"
    return f"Basic {b64encode(pair.encode()).decode()}"


def _static(template: str, fields: Known) -> str:
    """The text of a template that contains fields only."""
    return "".join(map(str, fill_all(template, fields, HEADER)))


def _content_type(table: RequestTable) -> str:
    if table.form is not None:
        return f"application/x-www-form-urlencoded; charset={table.charset}"
    if table.body_json is not None:
        return "application/json"
    return f"text/xml; charset={table.charset}" if table.xml is not None else ""
