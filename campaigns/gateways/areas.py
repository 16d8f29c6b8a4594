"""Areas of phone numbers: a country (`RU`), or all numbers that begin with some digits (`7727`). Pure functions."""

import re
from collections.abc import Collection, Iterable
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


def uncovered(areas: Iterable[str], by: Collection[str]) -> tuple[str, ...]:
    """Return the areas with numbers that `by` lacks. An empty collection has all numbers, which `""` stands for.

    What the numbering plans leave open counts as lacking.
    """
    return tuple(area for area in tuple(areas) or ("",) if not _is_covered(area, by)) if by else ()


def _is_covered(area: str, by: Collection[str]) -> bool:
    digits = area if is_prefix(area) else str(phonenumbers.country_code_for_region(area) or "")
    if area in by or any(digits[:length] in by for length in range(1, len(digits) + 1)):
        return True
    return is_prefix(area) and _have_prefix({each for each in by if not is_prefix(each)}, area)


def _have_prefix(countries: set[str], prefix: str) -> bool:
    """Whether all numbers with that prefix are of these countries; several countries may share a calling code."""
    code = next((prefix[:n] for n in range(1, 4) if int(prefix[:n]) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE), "")
    sharing = set(phonenumbers.COUNTRY_CODE_TO_REGION_CODE[int(code)]) if code else set()
    if sharing and sharing <= countries:
        return True
    plans = (phonenumbers.PhoneMetadata.metadata_for_region(country) for country in sharing & countries)
    leading_digits = (plan.leading_digits for plan in plans if plan and plan.leading_digits)
    return any(re.match(pattern, prefix[len(code) :]) for pattern in leading_digits)


def is_prefix(area: str) -> bool:
    """Whether the area is a prefix, not a country."""
    return area.isdigit()


class Areas:
    """A set of areas, to find those of phones quickly."""

    def __init__(self, areas: Iterable[str]) -> None:
        self._areas = frozenset(areas)
        self._lengths = sorted({len(area) for area in self._areas if is_prefix(area)}, reverse=True)

    @property
    def digits(self) -> int:
        """The length of the longest prefix."""
        return max(self._lengths, default=0)

    def closest(self, phone: int, country: str) -> str | None:
        """Return the area that describes a phone most exactly: its longest prefix, else its country, else None."""
        digits = str(phone)
        for length in self._lengths:
            if digits[:length] in self._areas:
                return digits[:length]
        return country if country in self._areas else None
