"""Phones: normalising, E.164 digits as stored (`79991234567`), and display. Uses `phonenumbers`. No I/O.

The settings PHONE_COUNTRIES and LANDLINES define the accepted countries and the handling of landlines.
"""

import re
from enum import StrEnum
from functools import lru_cache
from typing import Final

import phonenumbers
import phonenumbers.timezone
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from phonenumbers import PhoneNumberType

from directory.countries import country_list, country_name

WARN, REFUSE = "warn", "refuse"
# The library would also accept letters, extensions and numbers within prose, so the shape is checked first.
_SHAPE: Final = re.compile(r"\+?[0-9]{5,15}")
_MIN_DIGITS_WITH_CODE: Final = 11  # fewer digits without a plus are an incomplete national number
# In the +7 plan, ten digits lack their prefix only if they can't be eleven with the last one missing.
_NATIONAL_OF_7: Final = re.compile(r"(?:\+?7|8)[0-9]{10}|[3-69][0-9]{9}")
# Spaces, brackets, dots, all dashes, and invisible marks that are copied along with phones.
_SEPARATORS: Final = re.compile(r"[\s().\-\u00ad\u200b-\u200f\u2010-\u2015\u202a-\u202e\u2060\u2212\ufeff]+")
_GAP: Final = r"[\s().,/\u2010-\u2015-]{0,3}"  # between two digits of a phone in a text
_MAX_LENGTH: Final = 40
_COUNTRY: Final = 7
PLAN_OF_7: Final = range(7 * 10**10, 8 * 10**10)
"""The numbers of Russia and Kazakhstan."""
_FREE_DIGITS: Final = 4  # the last ones, which no rule of the +7 plan depends on
_NO_SMS: Final = frozenset(
    {
        PhoneNumberType.FIXED_LINE,
        PhoneNumberType.TOLL_FREE,
        PhoneNumberType.PREMIUM_RATE,
        PhoneNumberType.SHARED_COST,
        PhoneNumberType.VOIP,
        PhoneNumberType.PAGER,
        PhoneNumberType.UAN,
        PhoneNumberType.VOICEMAIL,
    }
)


class LineType(StrEnum):
    """What the numbering plan says about a number. Plans that don't tell mobile from fixed lines count as mobile."""

    MOBILE = "mobile"
    FIXED = "fixed"
    TOLL_FREE = "toll_free"
    OTHER = "other"


_LINE_TYPES: Final = {
    PhoneNumberType.MOBILE: LineType.MOBILE,
    PhoneNumberType.FIXED_LINE_OR_MOBILE: LineType.MOBILE,
    PhoneNumberType.FIXED_LINE: LineType.FIXED,
    PhoneNumberType.TOLL_FREE: LineType.TOLL_FREE,
}


def normalise(raw: str | int, country_code: str = "") -> int:
    """Convert a phone as people write it (`+7 (999) 123-45-67`, `8 999 …`) to `79991234567`.

    `country_code` is the ISO 3166 code of its country, if known: digits without a plus are then read as a number of
    that country if they can be one. Raises ValidationError if it is invalid, or its country is not accepted.
    """
    text = str(raw) if isinstance(raw, str) or 0 < raw < 10**_MAX_LENGTH else ""
    digits = _SEPARATORS.sub("", text) if len(text) <= _MAX_LENGTH else ""
    if not digits.isascii() or not _SHAPE.fullmatch(digits):
        raise _not_a_phone()
    candidates = [phone for phone in _candidates(digits, country_code) if _region(phone)]
    for phone in candidates:
        if _is_accepted(_region(phone)):
            return phone
    raise _not_accepted(candidates[0]) if candidates else _not_a_phone()


def deliverable(raw: str | int, country_code: str = "") -> int:
    """Like `normalise`; also raises ValidationError for a line without SMS if LANDLINES says so."""
    phone = normalise(raw, country_code)
    if settings.LANDLINES == REFUSE and not is_mobile(phone):
        raise ValidationError(_("This is a landline or service number and can’t receive SMS."), code="landline")
    return phone


def should_warn(phone: int) -> bool:
    """Whether to warn that this phone receives no SMS."""
    return settings.LANDLINES == WARN and not is_mobile(phone)


def is_phone(raw: str) -> bool:
    """Whether `normalise` accepts it."""
    try:
        normalise(raw)
    except ValidationError:
        return False
    return True


def derived(phone: int) -> dict[str, str]:
    """Return the columns of a contact that follow from its phone. They are empty for an erased contact."""
    return {"operator_code": operator_code(phone), "country": country(phone), "line_type": line_type(phone)}


def country(phone: int) -> str:
    """Return the country's ISO 3166 code: `79991234567` → `RU`; empty for a number of no country, or unassigned."""
    region = _region(phone)
    return region if region.isalpha() else ""


def line_type(phone: int) -> str:
    """Return the `LineType`; empty for an erased contact."""
    return _LINE_TYPES.get(_type(phone), LineType.OTHER).value if phone > 0 else ""


def is_mobile(phone: int) -> bool:
    """Whether the phone can receive SMS, as far as the numbering plan says."""
    return _type(phone) not in _NO_SMS


def operator_code(phone: int) -> str:
    """Return the three digits after the 7: `79991234567` → `999`; empty outside the +7 plan."""
    return str(phone)[1:4] if _is_of_plan_7(phone) else ""


def timezone_of(phone: int) -> str | None:
    """Return the time zone that follows from the number; None for a mobile of the home country.

    A number of another country gets the first zone of that country, which is likelier than the installation's.
    """
    return _timezone_of(_representative(phone), _home())


def pretty(phone: int) -> str:
    """Format a phone: `79991234567` → `+7 999 123-45-67`; a word for an erased contact."""
    if phone < 0:
        return str(_("Erased"))
    if not _is_of_plan_7(phone):
        number = _number(phone)
        formatted = (
            phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL) if number else phone
        )
        return str(formatted)
    digits = str(phone)
    return f"+{digits[0]} {digits[1:4]} {digits[4:7]}-{digits[7:9]}-{digits[9:11]}"


def search_variants(text: str) -> list[str]:
    """Return the digits to search stored phones for: as given, and as an accepted country's national notation.

    `8 999` also matches `7999`. Where German numbers are accepted, `0170` also matches `49170`.
    """
    digits = re.sub(r"[^0-9]", "", text)
    if text.lstrip().startswith("+"):
        variants = [digits]
    elif digits.startswith("00"):
        variants = [digits, digits[2:]]
    else:
        variants = [digits, *(_with_code(digits, code) for code in _accepted_countries())]
    return [variant for variant in dict.fromkeys(variants) if variant]


def is_searchable(text: str) -> bool:
    """Whether the text has only digits and separators of phones."""
    return re.fullmatch(r"\+?[0-9]+", _SEPARATORS.sub("", text)) is not None


def _not_a_phone() -> ValidationError:
    return ValidationError(_("Enter a phone number like +7 999 123-45-67."), code="phone")


def _not_accepted(phone: int) -> ValidationError:
    """Name the country that was recognised, and those that are accepted."""
    code = country(phone)
    recognised = _("This is a number of %(country)s.") if code else _("This number belongs to no country.")
    accepted = _("This installation accepts numbers of %(countries)s.")
    return ValidationError(
        "%(recognised)s %(accepted)s",
        params={
            "recognised": str(recognised) % {"country": country_name(code)},
            "accepted": str(accepted) % {"countries": country_list(settings.PHONE_COUNTRIES)},
        },
        code="phone",
    )


def _candidates(digits: str, country_code: str) -> list[int]:
    """Return what the digits can mean: a national number of the home country, or one with country code but no plus.

    Before that, a number of the given country.
    """
    if digits.startswith("+"):
        return [] if digits.startswith("+0") else [int(digits[1:])]
    home = phonenumbers.country_code_for_region(_home())
    if home == _COUNTRY:
        national = [int(f"{_COUNTRY}{digits[-10:]}")] if _NATIONAL_OF_7.fullmatch(digits) else []
    else:
        national = _national(digits, _home())
    with_code = [] if digits.startswith("0") else [int(digits)]
    of_country = [*with_code, *_national(digits, country_code)] if country_code else []
    return [
        *(phone for phone in of_country if country(phone) == country_code),
        *national,
        *(with_code if len(digits) >= _MIN_DIGITS_WITH_CODE else []),
    ]


def _national(digits: str, country_code: str) -> list[int]:
    try:
        number = phonenumbers.parse(digits, country_code)
    except phonenumbers.NumberParseException:
        return []
    return [int(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))]


def _home() -> str:
    first = settings.PHONE_COUNTRIES[0]
    return "RU" if first == "*" else first


def _is_accepted(code: str) -> bool:
    return code in settings.PHONE_COUNTRIES or "*" in settings.PHONE_COUNTRIES


def _accepted_countries() -> list[str]:
    """Return the accepted countries; only the home country if all are."""
    return [_home()] if "*" in settings.PHONE_COUNTRIES else settings.PHONE_COUNTRIES


def _with_code(digits: str, country_code: str) -> str:
    """Replace the country's national prefix by its calling code; return an empty string if there is no prefix."""
    plan = phonenumbers.PhoneMetadata.metadata_for_region(country_code)
    prefix = plan and re.match(plan.national_prefix_for_parsing or "", digits)
    # Groups of these patterns match area codes and the like, not only the prefix.
    if not plan or not prefix or not prefix.end() or prefix.lastindex:
        return ""
    return f"{plan.country_code}{digits[prefix.end() :]}"


def _is_of_plan_7(phone: int) -> bool:
    return phone in PLAN_OF_7


def _representative(phone: int) -> int:
    """Return one number for all that the plan does not distinguish, so that lookups are cached by prefix."""
    return phone // 10**_FREE_DIGITS * 10**_FREE_DIGITS if _is_of_plan_7(phone) else phone


def _region(phone: int) -> str:
    """Return the country's code, `001` for a number of no country, or an empty string if it is not assigned."""
    return _region_and_type(_representative(phone))[0]


def _type(phone: int) -> int:
    return _region_and_type(_representative(phone))[1]


@lru_cache(maxsize=2**17)
def _region_and_type(phone: int) -> tuple[str, int]:
    number = _number(phone)
    if number is None or not phonenumbers.is_valid_number(number):
        return "", PhoneNumberType.UNKNOWN
    return phonenumbers.region_code_for_number(number) or "", phonenumbers.number_type(number)


@lru_cache(maxsize=2**14)
def _timezone_of(phone: int, home: str) -> str | None:
    number, code = _number(phone), country(phone)
    if number is None or not code:
        return None
    zones = phonenumbers.timezone.time_zones_for_number(number)
    if len(zones) > 1 and code != home:
        zones = phonenumbers.timezone.time_zones_for_geographical_number(number)[:1]
    return zones[0] if len(zones) == 1 and zones[0] != phonenumbers.timezone.UNKNOWN_TIMEZONE else None


def _number(phone: int) -> phonenumbers.PhoneNumber | None:
    if _is_of_plan_7(phone):
        return phonenumbers.PhoneNumber(country_code=_COUNTRY, national_number=phone % 10**10)
    try:
        return phonenumbers.parse(f"+{phone}")
    except phonenumbers.NumberParseException:
        return None


def phone_pattern(phone: int) -> re.Pattern[str]:
    """Return a pattern that finds a phone in a text in any usual notation, international or national, with separators.

    `phone` is E.164 digits. Longer numbers that contain the digits do not match.
    """
    number = _number(phone)
    if number is None or number.country_code is None:
        return re.compile(rf"(?<!\d){_spaced(str(phone))}(?!\d)")
    code, significant = str(number.country_code), phonenumbers.national_significant_number(number)
    national = re.sub("[^0-9]", "", phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL))
    region = phonenumbers.region_code_for_country_code(number.country_code)
    trunk = phonenumbers.ndd_prefix_for_region(region, True)
    notations = [f"(?:00{_GAP})?{_spaced(code + significant)}", _spaced(significant), _spaced(national)]
    if trunk:
        notations += [_spaced(trunk + significant), rf"{_spaced(code)}{_GAP}\({trunk}\){_GAP}{_spaced(significant)}"]
    return re.compile(rf"(?<!\d)(?:{'|'.join(dict.fromkeys(notations))})(?!\d)")


def _spaced(digits: str) -> str:
    """Return a pattern for the digits, with separators between them."""
    return _GAP.join(digits)
