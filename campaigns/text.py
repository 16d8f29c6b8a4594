"""The text of a message, pure: placeholders, the character set it needs, and the parts it is sent in.

Sources: 3GPP TS 23.038 (GSM 7-bit default alphabet and its extension table, UCS-2) and 3GPP TS 23.040 9.2.3.24.1
(concatenation takes 7 septets or 3 UCS-2 units from each part).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from directory.attributes import written

PLACEHOLDER: Final = re.compile(r"\{([^\W\d]\w*)(?:\|([^{}]*))?\}")
GSM7_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM7_EXTENSION: Final = frozenset("\f^{}\\[~]|€")
_GSM7: Final = GSM7_BASIC | GSM7_EXTENSION

Encoding = Literal["GSM-7", "UCS-2"]


@dataclass(frozen=True)
class Size:
    """How a text is sent: `characters` are units of its encoding (an emoji is two, `€` in GSM-7 too)."""

    encoding: Encoding
    characters: int
    parts: int
    room: int
    """Characters that this many parts can hold."""


def render(text: str, values: Mapping[str, object]) -> str:
    """Fill `{name}` from `values`; where the value is missing or empty, `{name|fallback}` reads its fallback."""

    def fill(match: re.Match[str]) -> str:
        value = values.get(match[1])
        return (match[2] or "") if value is None or value == "" else str(value)

    return PLACEHOLDER.sub(fill, text)


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
        return _size("GSM-7", [2 if character in GSM7_EXTENSION else 1 for character in text], single=160, part=153)
    return _size("UCS-2", [2 if character > "\uffff" else 1 for character in text], single=70, part=67)


def _size(encoding: Encoding, widths: list[int], single: int, part: int) -> Size:
    """Cut into parts so that no two-unit character is torn."""
    characters = sum(widths)
    if characters <= single:
        return Size(encoding, characters, 1, single)
    parts, filled = 1, 0
    for width in widths:
        if filled + width > part:
            parts, filled = parts + 1, 0
        filled += width
    return Size(encoding, characters, parts, parts * part)
