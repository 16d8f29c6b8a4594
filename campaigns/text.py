"""The text of a message: placeholders, encoding, and number of parts. Pure functions.

Sources: 3GPP TS 23.038 (GSM 7-bit default alphabet and its extension table, UCS-2) and 3GPP TS 23.040 9.2.3.24.1
(concatenation takes 7 septets or 3 UCS-2 units from each part).
"""

import re
import unicodedata
from collections.abc import Mapping, Set
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from directory.contacts.attributes import as_text
from directory.fields import PLACEHOLDERS

CONTACT_FIELDS: Final = PLACEHOLDERS
PLACEHOLDER: Final = re.compile(r"\{([^\W\d]\w*)(?:\|([^{}]*))?\}")
GSM7_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM7_EXTENSION: Final = frozenset("\f^{}\\[~]|€")
_GSM7: Final = GSM7_BASIC | GSM7_EXTENSION

# Letters and marks that are invisible: fillers, the empty Braille pattern, joiners, variation selectors.
_BLANK: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0" + "".join(map(chr, range(0xFE00, 0xFE10))))
_LINE_END: Final = re.compile("\r\n|[\r\x85\u2028\u2029]")

Encoding = Literal["GSM-7", "UCS-2"]


class Size(NamedTuple):
    """Encoding and size of a text: `characters` counts units of its encoding (an emoji is two, `€` in GSM-7 too)."""

    encoding: Encoding
    characters: int
    parts: int
    room: int
    """Characters that this many parts can hold."""


class Slot(NamedTuple):
    """A placeholder, and the text before it."""

    before: str
    name: str
    fallback: str


def normalise(text: str) -> str:
    """Return a text as it is stored and compared: NFC, LF line ends, no spaces at line ends or around the text.

    A text without visible characters, for example only zero-width ones, becomes empty.
    """
    if not any(map(_is_visible, text)):
        return ""
    lines = _LINE_END.sub("\n", unicodedata.normalize("NFC", text)).split("\n")
    return "\n".join(line.rstrip() for line in lines).strip()


def _is_visible(character: str) -> bool:
    return character not in _BLANK and unicodedata.category(character)[0] not in "CZ"


@lru_cache(maxsize=100)
def _split(text: str) -> tuple[list[Slot], str]:
    """Split a text into its placeholders and the text after the last one."""
    pieces = PLACEHOLDER.split(text)
    slots = [Slot(pieces[n], _canonical(pieces[n + 1]), pieces[n + 2] or "") for n in range(0, len(pieces) - 1, 3)]
    return slots, pieces[-1]


def _canonical(name: str) -> str:
    """Lower-case the name of a contact field; the case of attributes varies between contacts."""
    return name.lower() if name.lower() in CONTACT_FIELDS else name


def placeholders(text: str) -> set[str]:
    """The names of a text's placeholders."""
    return {slot.name for slot in _split(text)[0]}


def fallbacks(text: str) -> dict[str, str]:
    """The fallback of each placeholder, or an empty string."""
    return {slot.name: slot.fallback for slot in _split(text)[0]}


def render(text: str, values: Mapping[str, object]) -> str:
    """Replace `{name}` by its value; `{name|fallback}` becomes its fallback where the value is missing or empty."""
    slots, after = _split(text)
    pieces: list[str] = []
    for before, name, fallback in slots:
        value = value_of(values, name)
        pieces += (before, fallback if value is None or value == "" else str(value))
    return "".join([*pieces, after])


def value_of(values: Mapping[str, object], name: str) -> object | None:
    """The value for `{name}`: an exact match of the name, or else one that differs only in case."""
    if name in values:
        return values[name]
    folded = name.casefold()
    return next((value for known, value in values.items() if known.casefold() == folded), None)


class Problem(NamedTuple):
    """Why braces are not a placeholder; the text in question, and the position of its first character, from 1."""

    kind: Literal["unclosed", "nested", "unreadable", "unopened"]
    written: str
    position: int


def malformed(text: str) -> Problem | None:
    """The first brace that does not belong to a valid placeholder."""
    if "{" not in text and "}" not in text:
        return None
    # Placeholders are replaced by spaces, so that positions stay the same.
    rest = PLACEHOLDER.sub(lambda match: " " * len(match[0]), text)
    start = next((index for index, character in enumerate(rest) if character in "{}"), None)
    if start is None:
        return None
    if text[start] == "}":
        return Problem("unopened", "}", start + 1)
    end = next((index for index in range(start + 1, len(text)) if text[index] in "{}"), None)
    if end is None:
        return Problem("unclosed", text[start:], start + 1)
    if text[end] == "{":
        return Problem("nested", text[start : end + 1], start + 1)
    return Problem("unreadable", text[start : end + 1], start + 1)


def values_of(*, first_name: str, last_name: str, phone: int, attributes: Mapping[str, object]) -> dict[str, object]:
    """A contact's values for placeholders; an attribute never overrides a field of the contact."""
    values = {name: as_text(value) for name, value in attributes.items()}
    return {**values, "first_name": first_name, "last_name": last_name, "phone": phone}


def beyond_gsm7(text: str) -> list[str]:
    """The distinct characters that force UCS-2, in order."""
    return list(dict.fromkeys(character for character in text if character not in _GSM7))


def measure(text: str) -> Size:
    """Encoding, characters and parts of a text as it would be sent; an empty text is one part."""
    if _GSM7.issuperset(text):
        return _size("GSM-7", text, wide=GSM7_EXTENSION.intersection(text), single=160, part=153)
    units = len(text.encode("utf-16-le", "surrogatepass")) // 2
    wide = {character for character in text if character > "\uffff"} if units > len(text) else set()
    return _size("UCS-2", text, wide=wide, single=70, part=67)


def _size(encoding: Encoding, text: str, *, wide: Set[str], single: int, part: int) -> Size:
    """Count parts such that no `wide` character, which takes two units, is split."""
    characters = len(text) + (sum(map(text.count, wide)) if wide else 0)
    if characters <= single:
        return Size(encoding, characters, 1, single)
    parts = _parts(text, wide, part) if wide else -(-characters // part)
    return Size(encoding, characters, parts, parts * part)


def _parts(text: str, wide: Set[str], part: int) -> int:
    parts, filled = 1, 0
    for character in text:
        width = 2 if character in wide else 1
        if filled + width > part:
            parts, filled = parts + 1, 0
        filled += width
    return parts


def replace(text: str, characters: Mapping[str, str]) -> str:
    """Replace characters of the text."""
    return "".join(characters.get(character, character) for character in text)
