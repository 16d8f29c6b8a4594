"""Prices as administrators and programs write them. No I/O.

A price belongs to an area (see `campaigns.gateways.areas`; empty: all other countries), and is valid from a day on.
"""

import re
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Final, NamedTuple

import phonenumbers
from babel.core import Locale
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from campaigns.gateways import areas
from project.core.money import MAX_AMOUNT, PLACES, from_micros, to_micros

_YEARS: Final = range(2000, 2101)
_AMOUNT: Final = re.compile(rf"([0-9]{{1,10}})(?:[.,]([0-9]{{1,{PLACES}}}))?")
_DATES: Final = ("%Y-%m-%d", "%d.%m.%Y")


class Entry(NamedTuple):
    """A price of a part for an area from a day on."""

    area: str
    valid_from: date
    price: Decimal

    @property
    def key(self) -> tuple[str, date]:
        """What a gateway has only one price for."""
        return self.area, self.valid_from

    def __str__(self) -> str:
        return f"{self.area or '*'} {self.valid_from:%Y-%m-%d}: {self.price}"


def read_area(text: str) -> str:
    """Read an area, also written with spaces or as the name of a country in any language of the pages."""
    written = "".join(text.split())
    if not written:
        return ""
    try:
        return areas.parse_one(written)
    except ValueError:
        code = _codes_by_name().get(" ".join(text.casefold().split()))
    if code is None:
        refusal = _("“%(word)s” is neither a country code such as KZ nor the first digits of numbers such as 7727.")
        raise ValidationError(refusal % {"word": text.strip()[:40]})
    return code


def read_amount(text: str) -> Decimal:
    """Read a price; point and comma both separate decimals."""
    written = _AMOUNT.fullmatch("".join(text.split()))
    amount = Decimal(f"{written[1]}.{written[2] or 0}") if written else None
    if amount is None or amount > MAX_AMOUNT:
        raise ValidationError(_("Enter a price such as 2.50, with at most 6 decimal places."))
    return amount


def exact(amount: Decimal) -> Decimal:
    """Return a price as it is stored and shown: with the places of the currency, or as many as it needs."""
    return from_micros(to_micros(amount))


def read_date(text: str) -> date:
    """Read a date as `2026-11-24` or `24.11.2026`."""
    for style in _DATES:
        try:
            day = datetime.strptime(text.strip(), style).date()  # noqa: DTZ007 — a date has no time zone
        except ValueError:
            continue
        return check_year(day)
    raise ValidationError(_("Enter a date such as 2026-11-24."))


def check_year(day: date) -> date:
    """Return the date. ValidationError if it is surely mistyped."""
    if day.year not in _YEARS:
        raise ValidationError(_("The year must be between 2000 and 2100."))
    return day


@cache
def _codes_by_name() -> dict[str, str]:
    return dict(_names())


def _names() -> Iterator[tuple[str, str]]:
    for language, _label in settings.LANGUAGES:
        for code, name in Locale.parse(language).territories.items():
            if code in phonenumbers.SUPPORTED_REGIONS:
                yield name.casefold(), code
