"""Templates of requests: parsed once, compiled once for each gateway, then filled in for each message.

What an administrator entered becomes text when a template is compiled. What differs between messages stays a variable.
Each value is escaped for its place: address, form, JSON, XML or header.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from json.encoder import encode_basestring_ascii
from typing import Any, Final, NamedTuple
from urllib.parse import quote

Known = Mapping[str, str]
"""The values of the variables that are known when a template is compiled."""

_TOKEN: Final = re.compile(r"\{\{|\}\}|\{([a-z][a-z0-9_]*)\}|[{}]")
_INT: Final = re.compile(r"\{([a-z][a-z0-9_]*):int\}")
# XML 1.0, section 2.2: characters that it does not allow.
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_XML: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
)
# RFC 9110, section 5.5: a field value has no control characters.
_NOT_HEADER: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f]")


class Place(NamedTuple):
    """Where a template stands: how its own text and the values of variables are escaped."""

    text: Callable[[str], str]
    value: Callable[[str], str]


class Variable(NamedTuple):
    """A value that differs between messages, and how it is escaped."""

    name: str
    escape: Callable[[str], str]


Piece = str | Variable


def plain(text: str) -> str:
    """Return the text as it is."""
    return text


def header_value(text: str) -> str:
    """Return a text without characters that would end a header."""
    return _NOT_HEADER.sub("", text)


def json_text(text: str) -> str:
    """Return the inside of a JSON string."""
    return encode_basestring_ascii(text)[1:-1]


def xml_text(text: str) -> str:
    """Return a text for the content or an attribute of an XML element; what XML can't hold becomes U+FFFD."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text).translate(_XML)


def url_text(charset: str = "utf-8") -> Callable[[str], str]:
    """Return the function that percent-encodes a text for an address or form; `?` for what the charset lacks."""
    return lambda text: quote(text, safe="", encoding=charset, errors="replace")


HEADER: Final = Place(plain, header_value)
JSON_STRING: Final = Place(json_text, json_text)
XML: Final = Place(plain, xml_text)
URL_PATH: Final = Place(plain, url_text())


def pair(charset: str) -> Place:
    """The place of names and values in queries and forms."""
    return Place(url_text(charset), url_text(charset))


def variables(template: str) -> set[str]:
    """Return the names of a template's variables. ValueError if a brace is neither doubled nor part of a variable."""
    if number := _INT.fullmatch(template):
        return {number[1]}
    matches = list(_TOKEN.finditer(template))
    if any(match[0] in ("{", "}") for match in matches):
        raise ValueError(f"“{template}” has a single brace. Write {{{{ or }}}} for a brace.")
    return {match[1] for match in matches if match[1]}


def fill(template: str, known: Known, place: Place) -> list[Piece] | None:
    """Compile a template; None if a known variable in it is empty, so that its entry is left out."""
    empty = any(name in known and not known[name] for name in variables(template))
    return None if empty else fill_all(template, known, place)


def fill_all(template: str, known: Known, place: Place) -> list[Piece]:
    """Compile a template, with nothing where a known variable is empty."""
    pieces: list[Piece] = []
    end = 0
    for match in _TOKEN.finditer(template):
        pieces.append(place.text(template[end : match.start()]))
        end, name = match.end(), match[1]
        if not name:
            pieces.append(place.text(match[0][0]))
        elif name not in known:
            pieces.append(Variable(name, place.value))
        else:
            pieces.append(place.value(known[name]))
    return [*pieces, place.text(template[end:])]


def fill_pairs(entries: Mapping[str, str], known: Known, charset: str) -> list[Piece]:
    """Compile the entries of a query or form."""
    place, pieces = pair(charset), list[Piece]()
    for name, template in entries.items():
        value = fill(template, known, place)
        if value is not None:
            pieces += ["&" if pieces else "", place.text(name), "=", *value]
    return pieces


def fill_json(value: Any, known: Known) -> list[Piece] | None:
    """Compile a JSON value whose texts are templates; None if nothing is left of it."""
    match value:
        case dict():
            entries = {f'"{json_text(name)}": ': fill_json(item, known) for name, item in value.items()}
            kept = [[name, *pieces] for name, pieces in entries.items() if pieces is not None]
            return ["{", *_joined(kept), "}"] if kept or not value else None
        case list():
            items = [pieces for item in value if (pieces := fill_json(item, known)) is not None]
            return ["[", *_joined(items), "]"] if items or not value else None
        case str() if number := _INT.fullmatch(value):
            return fill(f"{{{number[1]}}}", known, Place(plain, _digits))
        case str():
            text = fill(value, known, JSON_STRING)
            return text and ['"', *text, '"']
        case bool():
            return ["true" if value else "false"]
    return [str(value)]


def _digits(text: str) -> str:
    return text if re.fullmatch(r"-?\d{1,30}", text, re.ASCII) else "0"


def _joined(items: Iterable[list[Piece]]) -> list[Piece]:
    return [piece for number, item in enumerate(items) for piece in ([", ", *item] if number else item)]
