"""Areas of phone numbers: a country (`RU`), or all numbers that begin with some digits (`7727`). Pure functions."""

import re
from collections.abc import Iterable
from typing import Final

import phonenumbers

_PREFIX: Final = re.compile(r"\+?([1-9][0-9]{0,14})")
_SEPARATORS: Final = re.compile(r"[\s,;]+")


def parse(text: str) -> tuple[str, ...]:
    """Read areas separated by commas or spaces: sorted, each once. ValueError, with the area, if one is none."""
    return tuple(sorted({parse_one(area) for area in _SEPARATORS.split(text) if area}))


def parse_one(text: str) -> str:
    """Read one area in any case, with or without a plus. ValueError, with the text, if it is none."""
    prefix = _PREFIX.fullmatch(text)
    if prefix:
        return prefix[1]
    if text.upper() in phonenumbers.SUPPORTED_REGIONS:
        return text.upper()
    raise ValueError(text)


def is_prefix(area: str) -> bool:
    """Whether the area is a prefix, not a country."""
    return area.isdigit()


class Areas:
    """A set of areas, to find those of phones quickly."""

    def __init__(self, areas: Iterable[str]) -> None:
        self._areas = frozenset(areas)
        self._lengths = sorted({len(area) for area in self._areas if is_prefix(area)}, reverse=True)

    def closest(self, phone: int, country: str) -> str | None:
        """Return the area that describes a phone most exactly: its longest prefix, else its country, else None."""
        digits = str(phone)
        for length in self._lengths:
            if digits[:length] in self._areas:
                return digits[:length]
        return country if country in self._areas else None
