"""The text of a message, pure: placeholders, the character set it needs, and the parts it is sent in.

Sources: 3GPP TS 23.038 (GSM 7-bit default alphabet and its extension table, UCS-2) and 3GPP TS 23.040 9.2.3.24.1
(concatenation takes 7 septets or 3 UCS-2 units from each part).
"""

import re
import unicodedata
from collections.abc import Mapping, Set
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from directory.attributes import written

PLACEHOLDER: Final = re.compile(r"\{([^\W\d]\w*)(?:\|([^{}]*))?\}")
GSM7_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM7_EXTENSION: Final = frozenset("\f^{}\\[~]|€")
_GSM7: Final = GSM7_BASIC | GSM7_EXTENSION
# What stands for a character in plain letters; see `plainer`.
_PLAIN: Final = {
    **dict.fromkeys("“”„‟«»″", '"'),
    **dict.fromkeys("‘’‚‛′`´", "'"),
    **dict.fromkeys("‐‑‒–—―−•", "-"),
    **dict.fromkeys("\u00a0\u2007\u2009\u202f", " "),
    "…": "...",
    "№": "No.",
    "×": "x",
}

Encoding = Literal["GSM-7", "UCS-2"]


class Size(NamedTuple):
    """How a text is sent: `characters` are units of its encoding (an emoji is two, `€` in GSM-7 too)."""

    encoding: Encoding
    characters: int
    parts: int
    room: int
    """Characters that this many parts can hold."""


class Slot(NamedTuple):
    """A placeholder, and the words that stand before it."""

    before: str
    name: str
    fallback: str


@lru_cache(maxsize=100)
def _cut(text: str) -> tuple[list[Slot], str]:
    """A text as its placeholders and the words after the last of them."""
    pieces = PLACEHOLDER.split(text)
    slots = [Slot(pieces[n], pieces[n + 1], pieces[n + 2] or "") for n in range(0, len(pieces) - 1, 3)]
    return slots, pieces[-1]


def placeholders(text: str) -> set[str]:
    """The names that a text is filled from."""
    return {slot.name for slot in _cut(text)[0]}


def fallbacks(text: str) -> dict[str, str]:
    """What the placeholders of a text read where nothing is known; nothing at all is an empty word."""
    return {slot.name: slot.fallback for slot in _cut(text)[0]}


def render(text: str, values: Mapping[str, object]) -> str:
    """Fill `{name}` from `values`; where the value is missing or empty, `{name|fallback}` reads its fallback."""
    slots, after = _cut(text)
    pieces: list[str] = []
    for before, name, fallback in slots:
        value = values.get(name)
        pieces += (before, fallback if value is None or value == "" else str(value))
    return "".join([*pieces, after])


def values_of(*, first_name: str, last_name: str, phone: int, attributes: Mapping[str, object]) -> dict[str, object]:
    """What a contact has to fill placeholders with; an attribute never hides a field of the contact."""
    facts = {name: written(value) for name, value in attributes.items()}
    return {**facts, "first_name": first_name, "last_name": last_name, "phone": phone}


def beyond_gsm7(text: str) -> list[str]:
    """The characters that force UCS-2, each once, in order."""
    return list(dict.fromkeys(character for character in text if character not in _GSM7))


def measure(text: str) -> Size:
    """Encoding, characters and parts of a text as it would be sent; an empty text is one part."""
    if _GSM7.issuperset(text):
        return _size("GSM-7", text, wide=GSM7_EXTENSION.intersection(text), single=160, part=153)
    units = len(text.encode("utf-16-le", "surrogatepass")) // 2
    wide = {character for character in text if character > "\uffff"} if units > len(text) else set()
    return _size("UCS-2", text, wide=wide, single=70, part=67)


def _size(encoding: Encoding, text: str, *, wide: Set[str], single: int, part: int) -> Size:
    """Cut into parts so that none of the `wide` characters, of two units each, is torn."""
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


def plainer(text: str) -> dict[str, str]:
    """Characters that could be written more cheaply, each with what would stand for it; none if that saves nothing.

    Quotation marks, dashes and spaces have plain ones, letters lose their accents, and emoji go.
    """
    found = {character: plain for character in beyond_gsm7(text) if (plain := _plain(character)) is not None}
    before, after = measure(text), measure(replace(text, found))
    return found if (after.encoding, after.parts) != (before.encoding, before.parts) else {}


def replace(text: str, characters: Mapping[str, str]) -> str:
    """The text with each of those characters written otherwise."""
    return "".join(characters.get(character, character) for character in text)


def _plain(character: str) -> str | None:
    if character in _PLAIN:
        return _PLAIN[character]
    if unicodedata.category(character) in ("So", "Sk", "Cf", "Mn"):
        return ""
    bare = "".join(each for each in unicodedata.normalize("NFKD", character) if not unicodedata.combining(each))
    return bare if bare and _GSM7.issuperset(bare) else None
