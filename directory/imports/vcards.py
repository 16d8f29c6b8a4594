"""vCards (RFC 2426, RFC 6350, and 2.1 of phones) as CSV: one row per card, read line by line."""

import csv
import io
import quopri
import re
from collections.abc import Iterator
from typing import IO, Any, Final, NamedTuple

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from directory import phones
from directory.imports.files import MAX_CELL, MAX_ROWS, SAMPLE, sniff_encoding
from directory.imports.phone_cells import phone_of

_MARKS_AND_SPACES: Final = b"\xef\xbb\xbf\xff\xfe \t\r\n"
_HEADER: Final = ("phone", "first_name", "last_name", "tags", "email", "organization")
_NEEDED: Final = frozenset({"N", "FN", "TEL", "EMAIL", "ORG", "CATEGORIES", "END"})
_ROWS_PER_CHUNK: Final = 1000
_ESCAPED: Final = re.compile(r"\\(.)")


class Property(NamedTuple):
    """A line of a card: name and parameters in capitals, the value decoded but not unescaped."""

    name: str
    parameters: str
    value: str


def is_vcard(sample: bytes) -> bool:
    """Whether a file starts like a vCard, in any encoding."""
    head = sample[:64].replace(b"\0", b"").lstrip(_MARKS_AND_SPACES).upper()
    return head.startswith(b"BEGIN:VCARD")


def to_csv(cards: IO[bytes]) -> Iterator[bytes]:
    """Return a row per card: a mobile phone if there is one, names, categories, first e-mail and organisation."""
    cards.seek(0)
    encoding, mark = sniff_encoding(cards.read(SAMPLE))
    cards.seek(mark)
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_HEADER)
    card: list[Property] = []
    number = 0
    for each in _properties(io.TextIOWrapper(cards, encoding, "replace")):
        if each.name != "END":
            card.append(each)
            continue
        number += 1
        if number > MAX_ROWS:
            raise ValidationError(
                _("The file has more than %(n)d rows. Split it into several files."), params={"n": MAX_ROWS}
            )
        writer.writerow(_row(card))
        card.clear()
        if number % _ROWS_PER_CHUNK == 0:
            yield _drain(buffer)
    yield _drain(buffer)


def _drain(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode("utf-8", "replace")


def _properties(text: IO[str]) -> Iterator[Property]:
    """Return the needed properties with folded lines joined. Long values, such as pictures, are cut."""
    line = ""
    while part := text.readline(MAX_CELL):
        part = part.rstrip("\r\n")
        if part[:1] in (" ", "\t"):
            line = (line + part[1:])[:MAX_CELL]
        elif line.endswith("=") and "QUOTED-PRINTABLE" in line.partition(":")[0].upper():
            line = (line[:-1] + part)[:MAX_CELL]
        else:
            yield from _needed_property(line)
            line = part
    yield from _needed_property(line)


def _needed_property(line: str) -> Iterator[Property]:
    head, colon, value = line.partition(":")
    name, _semicolon, parameters = head.upper().partition(";")
    name = name.rpartition(".")[2]  # Apple's `item1.TEL`
    if not colon or name not in _NEEDED:
        return
    if "QUOTED-PRINTABLE" in parameters:
        charset = re.search(r"CHARSET=([\w-]+)", parameters)
        value = quopri.decodestring(value.encode()).decode(_charset(charset[1] if charset else ""), "replace")
    yield Property(name, parameters, value)


def _charset(name: str) -> str:
    return {"WINDOWS-1251": "cp1251", "KOI8-R": "koi8-r"}.get(name, "utf-8")


def _row(card: list[Property]) -> list[Any]:
    def first(name: str) -> str:
        return next((each.value for each in card if each.name == name and each.value.strip(";")), "")

    last, given = [*map(_unescaped, _split(first("N"), ";")), "", ""][:2]
    categories = [tag for each in card if each.name == "CATEGORIES" for tag in _split(each.value, ",")]
    organization = " ".join(filter(None, map(_unescaped, _split(first("ORG"), ";"))))
    given = given or ("" if last else _unescaped(first("FN")))
    return [_phone(card), given, last, ",".join(map(_unescaped, categories)), _unescaped(first("EMAIL")), organization]


def _phone(card: list[Property]) -> str:
    """Return a mobile phone if there is one, by number or type; an invalid phone only if there is no other."""
    phones_found = [(_phone_or_text(_unescaped(each.value)), each.parameters) for each in card if each.name == "TEL"]
    usable = [(text, kinds) for text, kinds in phones_found if "FAX" not in kinds and phones.is_phone(text)]

    def preference(candidate: tuple[str, str]) -> tuple[bool, bool, bool]:
        text, kinds = candidate
        return phones.is_mobile(phones.normalise(text)), "CELL" in kinds or "IPHONE" in kinds, "PREF" in kinds

    if usable:
        return max(usable, key=preference)[0]
    return phones_found[0][0] if phones_found else ""


def _phone_or_text(phones_found: str) -> str:
    try:
        return phone_of(phones_found)
    except ValidationError:
        return phones_found


def _split(value: str, separator: str) -> list[str]:
    """Split a value at unescaped separators."""
    return re.split(rf"(?<!\\){separator}", value) if value else []


def _unescaped(value: str) -> str:
    return " ".join(_ESCAPED.sub(lambda found: " " if found[1] in "nN" else found[1], value).split())
