"""Phones, pure: what people write, `7XXXXXXXXXX` as stored, and as shown. The numbering plan is `phonenumbers`'s."""

import re
from functools import lru_cache
from typing import Final

import phonenumbers
import phonenumbers.timezone
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

# The library would also read letters, extensions and numbers inside prose, so the shape is checked before it is asked.
# Ten digits go without their prefix only if they can't be eleven with the last one missing.
_WRITTEN: Final = re.compile(r"(?:\+?7|8)[0-9]{10}|[3-69][0-9]{9}")
# Spaces, brackets, dots, every dash, and the invisible marks that come along when a phone is copied.
_SEPARATORS: Final = re.compile(r"[\s().\-\u00ad\u200b-\u200f\u2010-\u2015\u202a-\u202e\u2060\u2212\ufeff]+")
_MAX_WRITTEN: Final = 40
_COUNTRY: Final = 7
_FREE_DIGITS: Final = 4  # the last ones, which no rule of the numbering plan looks at


def normalise(written: str | int) -> int:
    """A phone as people write it (`+7 (999) 123-45-67`, `8 999 …`) → `79991234567`; ValidationError if it is none."""
    text = str(written) if isinstance(written, str) or 0 < written < 10**_MAX_WRITTEN else ""
    digits = _SEPARATORS.sub("", text) if len(text) <= _MAX_WRITTEN else ""
    if _WRITTEN.fullmatch(digits):
        phone = int(f"{_COUNTRY}{digits[-10:]}")
        if _assigned(phone // 10**_FREE_DIGITS):
            return phone
    raise ValidationError(_("Enter a phone number like +7 999 123-45-67."), code="phone")


def operator_code(phone: int) -> str:
    """The three digits behind the country code: `79991234567` → `999`."""
    return str(phone)[1:4]


def timezone_of(phone: int) -> str | None:
    """The time zone that the number itself tells, if it is in one only: a city's line is, a mobile is not."""
    return _timezone_of(operator_code(phone))


def pretty(phone: int) -> str:
    """`79991234567` → `+7 999 123-45-67`; what an erased contact has instead is told in a word."""
    if phone < 0:
        return str(_("Erased"))
    digits = str(phone)
    return f"+{digits[0]} {digits[1:4]} {digits[4:7]}-{digits[7:9]}-{digits[9:11]}"


def searched(text: str) -> list[str]:
    """What stored phones may hold when someone searches for the digits in `text`: the 8 that people dial is a 7."""
    digits = re.sub(r"[^0-9]", "", text)
    variants = [digits, f"{_COUNTRY}{digits[1:]}"] if digits.startswith("8") else [digits]
    return [variant for variant in variants if variant]


# The plan looks at the first digits only, so what it says of one number holds for all with the same: a million rows
# of a file ask for each prefix once.
@lru_cache(maxsize=2**17)
def _assigned(prefix: int) -> bool:
    return phonenumbers.is_valid_number(_number(prefix))


@lru_cache(maxsize=1000)
def _timezone_of(operator_code: str) -> str | None:
    zones = phonenumbers.timezone.time_zones_for_number(_number(int(f"{operator_code}000")))
    return zones[0] if len(zones) == 1 and zones[0] != phonenumbers.timezone.UNKNOWN_TIMEZONE else None


def _number(prefix: int) -> phonenumbers.PhoneNumber:
    return phonenumbers.PhoneNumber(country_code=_COUNTRY, national_number=prefix * 10**_FREE_DIGITS % 10**10)
