"""Requests, answers and callbacks without secrets, phones and texts, so that people may read them.

A request is built once more by a driver that has stand-ins for its secrets, so nothing has to be found in it. In what
others write, everything is searched for in each encoding that it may have.
"""

import html
import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import product
from typing import Final, NamedTuple
from urllib.parse import parse_qs, unquote_plus, urlsplit

import phonenumbers

from campaigns.gateways.protocol import Connection, Driver, Request

HIDDEN: Final = "•••"
NO_TEXT: Final = "…"
SHOWN_CHARACTERS: Final = 2000
MAX_READ: Final = 32 * 1024
"""Bytes that are searched. What is shown of them ends long before a secret could be cut in two."""
# Only characters that no encoding changes.
_STAND_IN: Final = "z0HIDDEN0z"
_BASIC: Final = re.compile(r"^(authorization: *basic) .*$", re.IGNORECASE)
_KEY: Final = re.compile(r"([?&]key=)[^&#]*")
_GAP: Final = r"[\s().\-‐-–]{0,3}"
_DATE: Final = r"(?:19|20)\d\d-[01]\d-[0-3]\d(?![\d-])"
_ANY_PHONE: Final = re.compile(rf"(?P<date>{_DATE})|\d(?:{_GAP}\d){{6,}}")
_ESCAPES: Final = re.compile(r"(?:\\u[0-9a-fA-F]{4})+|\\.")
_PREFIX: Final = 10
"""Characters at the beginning of a text by which a part of it is recognised."""


class HiddenPhone(int):
    """A phone that is written with zeros, except for its last two digits."""

    def __str__(self) -> str:
        digits = int.__repr__(self)
        return f"{'0' * (len(digits) - 2)}{digits[-2:]}"

    def __format__(self, _spec: str) -> str:
        return str(self)

    __repr__ = __str__


class ShownRequest(NamedTuple):
    """A request as people may see it."""

    method: str
    url: str
    headers: Sequence[str]
    body: str


def hidden_connection(connection: Connection) -> Connection:
    """Return the connection with stand-ins for its secrets. Empty ones stay empty."""
    definition = connection.definition
    secret = {name for name, field in definition.fields.items() if field.secret} if definition else set()
    return connection._replace(
        secret=connection.secret and _STAND_IN,
        callback=_KEY.sub(rf"\g<1>{_STAND_IN}", connection.callback),
        fields={name: _STAND_IN if value and name in secret else value for name, value in connection.fields.items()},
    )


def shown_request(driver: Driver, request: Request, phone: int | None = None) -> ShownRequest:
    """Return a request of a driver that has a `hidden_connection`. `phone`: the `HiddenPhone` in it."""

    def clean(text: str) -> str:
        text = text.replace(_STAND_IN, HIDDEN)
        return text.replace(str(phone), hidden_phone(phone)) if isinstance(phone, HiddenPhone) else text

    headers = driver.headers if request.headers is None else request.headers
    return ShownRequest(
        request.method or driver.method,
        clean(request.url),
        [clean(_BASIC.sub(rf"\1 {HIDDEN}", header)) for header in headers],
        clean(request.body.decode("utf-8", "replace")),
    )


def hidden_phone(phone: int | str) -> str:
    """Return a phone of which only the last two digits are shown."""
    return f"{HIDDEN}{int.__repr__(phone)[-2:] if isinstance(phone, int) else phone[-2:]}"


def spellings_of_secrets(connection: Connection, driver: Driver) -> set[str]:
    """Return all secrets of a gateway, as others may repeat them. `driver` has this connection."""
    definition = connection.definition
    found = {connection.secret}
    if definition is not None:
        found |= {connection.fields.get(name, "") for name, field in definition.fields.items() if field.secret}
    found |= set(parse_qs(urlsplit(connection.callback).query).get("key", []))
    found |= {b64encode(secret.encode()).decode() for secret in found if secret}
    found |= {header.partition(" ")[2].partition(" ")[2] for header in driver.headers if _BASIC.match(header)}
    return found - {""}


class Masker:
    """Hides secrets, phones and texts in what others have written. `any_phone`: also phones that are not known."""

    def __init__(
        self,
        secrets: Iterable[str],
        *,
        phones: Iterable[int | str] = (),
        texts: Iterable[str] = (),
        any_phone: bool = False,
    ) -> None:
        self._any_phone = any_phone
        self._phones = [pattern for phone in phones if (pattern := _spellings(phone))]
        known = [text.strip() for text in texts if text.strip()]
        self._replacements = {secret: HIDDEN for secret in secrets if secret}
        for text in known:
            digits = text.encode("utf-16-be", "surrogatepass").hex()
            self._replacements |= {text: NO_TEXT, digits: NO_TEXT, digits.upper(): NO_TEXT}
        longest_first = sorted(self._replacements, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
        self._parts = [text for text in known if len(text) > _PREFIX]

    def masked(self, text: str) -> str:
        """Return a text with nothing to hide. It is decoded if that was necessary to find something."""
        # Phones last: a text in which one was hidden would not be recognised.
        for hide in (self._without_known, self._without_phones):
            for decode in _DECODINGS:
                decoded = decode(text)
                cleaned = hide(decoded)
                if cleaned != decoded:
                    text = cleaned
        return text.replace("\x00", "�").encode("utf-8", "replace").decode()

    def body(self, body: bytes) -> str:
        """Return the beginning of a body; nothing of it if it is not UTF-8, because it could not be searched."""
        try:
            text = body.decode("utf-8-sig")
        except UnicodeDecodeError:
            return f"({len(body)} bytes)"
        return shortened(self.masked(text[:MAX_READ]))

    def _without_known(self, text: str) -> str:
        if self._known:
            text = self._known.sub(lambda match: self._replacements[match[0]], text)
        for known in self._parts:
            text = _without_part(text, known)
        return text

    def _without_phones(self, text: str) -> str:
        for pattern in self._phones:
            text = pattern.sub(_masked_phone, text)
        return _ANY_PHONE.sub(_masked_phone, text) if self._any_phone else text


def shortened(text: str) -> str:
    """Return the beginning of a text that is safe to show."""
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]} {NO_TEXT}"


def _spellings(phone: int | str) -> "re.Pattern[str] | None":
    """What a phone looks like: in its own country or in others, with any characters between its digits."""
    digits = re.sub(r"\D", "", int.__repr__(phone) if isinstance(phone, int) else phone)
    if len(digits) < 5:
        return None
    with suppress(phonenumbers.NumberParseException):
        digits = phonenumbers.national_significant_number(phonenumbers.parse(f"+{digits}"))
    return re.compile(rf"(?:\d{_GAP}){{0,3}}{_GAP.join(digits)}")


def _masked_phone(match: re.Match[str]) -> str:
    if match.groupdict().get("date"):
        return match[0]
    return hidden_phone(re.sub(r"\D", "", match[0]))


def _without_part(text: str, known: str) -> str:
    """Remove the beginnings of a known text: some repeat only a part of it."""
    while (start := text.find(known[:_PREFIX])) >= 0:
        length = next((n for n, pair in enumerate(zip(text[start:], known, strict=False)) if len(set(pair)) > 1), None)
        end = start + (min(len(known), len(text) - start) if length is None else length)
        text = f"{text[:start]}{NO_TEXT}{text[end:]}"
    return text


def _without_escapes(text: str) -> str:
    return _ESCAPES.sub(_unescaped, text)


def _unescaped(match: re.Match[str]) -> str:
    try:
        return str(json.loads(f'"{match[0]}"'))
    except ValueError:
        return match[0]


def _both(first: Callable[[str], str], second: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: second(first(text))


_SINGLE: Final[list[Callable[[str], str]]] = [_without_escapes, unquote_plus, html.unescape]
# A JSON text in a form and the like: two encodings, one in the other.
_DECODINGS: Final[list[Callable[[str], str]]] = [
    str,
    *_SINGLE,
    *(_both(first, second) for first, second in product(_SINGLE, repeat=2)),
]
