"""Phones in cells of spreadsheets and address books, without I/O. Exact numbers are read, rounded ones refused."""

import re
from typing import Final

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from directory import phones

# `="79161234567"` keeps spreadsheets from reading a number; `tel:` is used in links.
_QUOTED: Final = re.compile(r'="([^"]*)"')
_SCHEME: Final = re.compile(r"tel:", re.IGNORECASE)
_SCIENTIFIC: Final = re.compile(r"\+?([0-9])(?:[.,]([0-9]+))?[eE]\+?([0-9]{1,2})")
_FRACTION: Final = re.compile(r"(\+?[0-9]{10,15})[.,]0{1,2}")
_SEPARATOR: Final = re.compile(r":::|[;,/\n]")
_ROUNDED: Final = _(
    "A spreadsheet program has rounded this phone number. Format the column as text and export the file again."
)


def phone_of(cell: str) -> str:
    """Return the phone in a cell, for `phones.normalise`. Of several, the first valid one, mobiles first.

    Raises ValidationError if a spreadsheet has rounded the number, so that digits are lost.
    """
    plain = _plain(cell)
    parts = [part for part in map(str.strip, _SEPARATOR.split(plain)) if part]
    if len(parts) < 2 or phones.is_phone(plain):
        return plain
    valid = [part for part in map(_plain, parts) if phones.is_phone(part)]
    mobiles = [part for part in valid if phones.is_mobile(phones.normalise(part))]
    return next(iter(mobiles or valid), plain)


def _plain(cell: str) -> str:
    """Return one phone without notation of spreadsheets and links."""
    text = cell.strip().removeprefix("'").strip()
    quoted = _QUOTED.fullmatch(text)
    text = _SCHEME.sub("", quoted[1] if quoted else text, count=1)
    if scientific := _SCIENTIFIC.fullmatch(text):
        return _expanded(*scientific.groups(default=""))
    fraction = _FRACTION.fullmatch(text)
    return fraction[1] if fraction else text


def _expanded(first: str, digits: str, exponent: str) -> str:
    """Expand `7.9161234567E+10`. With fewer digits than the exponent needs, the number was rounded."""
    if len(digits) < int(exponent):
        raise ValidationError(_ROUNDED)
    whole, fraction = digits[: int(exponent)], digits[int(exponent) :]
    if fraction.strip("0"):
        raise ValidationError(_ROUNDED)
    return first + whole
