"""Phones, pure: what people write, `7XXXXXXXXXX` as stored, and as shown. Rules of ITU-T E.164 by `phonenumbers`."""

import re

import phonenumbers
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

ATTRIBUTE_NAME = re.compile(r"[^\W\d]\w{0,49}")
_REGION = "RU"


def normalise(text: str | int) -> int:
    """A phone as people write it (`+7 (999) 123-45-67`, `8 999 …`) → `79991234567`; ValidationError if it is none."""
    written = str(text).strip()
    if re.fullmatch(r"7\d{10}", written):
        written = f"+{written}"
    try:
        number = phonenumbers.parse(written, _REGION)
    except phonenumbers.NumberParseException:
        number = None
    if number is None or number.country_code != 7 or number.extension or not phonenumbers.is_valid_number(number):
        raise ValidationError(_("Enter a phone number like +7 999 123-45-67."), code="phone")
    return int(f"7{number.national_number}")


def operator_code(phone: int) -> str:
    """The three digits behind the country code: `79991234567` → `999`."""
    return str(phone)[1:4]


def pretty(phone: int) -> str:
    """`79991234567` → `+7 999 123-45-67`."""
    digits = str(phone)
    return f"+{digits[0]} {digits[1:4]} {digits[4:7]}-{digits[7:9]}-{digits[9:11]}"


def digits_of(text: str) -> str:
    """The digits of a search, without the 8 that Russians dial instead of +7."""
    digits = re.sub(r"\D", "", text)
    return digits[1:] if len(digits) == 11 and digits.startswith("8") else digits
