"""Amounts of money: exact, in the installation's currency.

They are `Decimal` where people enter them, and whole millionths of the currency ("micros") where they are stored and
added up: SQLite has no exact decimals, and the price of a message may have more places than the currency.
"""

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from babel.numbers import format_currency, get_currency_precision
from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.text import format_lazy
from django.utils.translation import get_language, to_locale
from django.utils.translation import gettext_lazy as _
from django_stubs_ext import StrOrPromise

PLACES: Final = 6
MICROS: Final = 10**PLACES
MAX_AMOUNT: Final = 10**9
_LETTER_BEFORE_DIGIT: Final = re.compile(r"(?<=[A-Za-z])(?=[0-9])")

if TYPE_CHECKING:
    _BigIntegerField = models.Field[Any, Any]
else:
    _BigIntegerField = models.BigIntegerField


def to_micros(amount: Decimal) -> int:
    """Return an amount in micros. ValidationError if it has more than six places."""
    micros = amount * MICROS
    if micros != micros.to_integral_value():
        raise ValidationError(_("Use at most 6 decimal places."))
    return int(micros)


def from_micros(micros: int) -> Decimal:
    """Return micros as an amount with at least the places of the currency, and no other zeros at the end."""
    amount = Decimal(micros).scaleb(-PLACES)
    places = get_currency_precision(settings.CURRENCY)
    needed = -int(amount.normalize().as_tuple().exponent)
    return amount.quantize(Decimal(1).scaleb(-max(needed, places)))


def plain(amount: Decimal) -> str:
    """Return an amount as in JSON and files: `12.50`."""
    return str(from_micros(to_micros(amount)))


def money(micros: int | None) -> str:
    """Return micros as people of the active language write money, rounded as the currency is; a dash for None."""
    return "–" if micros is None else _formatted(from_micros(micros), exact=False)


def price(amount: Decimal) -> str:
    """Return an amount as people of the active language write it, with all its places."""
    return _formatted(amount, exact=True)


def _formatted(amount: Decimal, *, exact: bool) -> str:
    locale = to_locale(get_language() or settings.LANGUAGE_CODE)
    written = str(format_currency(amount, settings.CURRENCY, locale=locale, decimal_quantization=not exact))
    return _LETTER_BEFORE_DIGIT.sub("\u00a0", written)


class MoneyField(_BigIntegerField):
    """An amount: `Decimal` in Python, micros in the database."""

    def from_db_value(self, value: int | None, *_args: Any) -> Decimal | None:
        """Return the stored amount."""
        return None if value is None else from_micros(value)

    def to_python(self, value: Any) -> Decimal | None:
        """Return the value as an amount, as it will be read: `100.00` for 100."""
        return None if value is None else from_micros(to_micros(Decimal(value)))

    def get_prep_value(self, value: Any) -> int | None:
        """Return the value as it is stored."""
        return None if value is None else to_micros(Decimal(value))

    def formfield(self, **kwargs: Any) -> Any:
        """Return a field for amounts."""
        return amount_field(self.verbose_name, required=not self.blank)


def amount_field(label: StrOrPromise, *, required: bool = False, help_text: StrOrPromise = "") -> forms.DecimalField:
    """Return a form's field for an amount; in the active language's notation."""
    return forms.DecimalField(
        label=format_lazy("{}, {}", label, settings.CURRENCY),
        required=required,
        help_text=help_text,
        min_value=Decimal(0),
        max_value=Decimal(MAX_AMOUNT),
        decimal_places=PLACES,
        localize=True,
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )
