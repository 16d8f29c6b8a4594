"""The rules of a contact's fields, the same for forms, API and files.

Values repeat in a directory, so results are cached: with a million rows, each may take only microseconds.
"""

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, TypedDict

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from directory import phones
from directory.contacts.attributes import validate_attributes
from directory.models import Contact
from directory.tags.names import tag_name, validate_tag_name

MAX_TAGS: Final = 50


class ContactDetails(TypedDict, total=False):
    """The fields of a contact besides its phone.

    `operator_code` and `country` are derived from the phone and only compared with it; a `country` also says how to
    read digits without a country code. An empty `timezone` means the likely one.
    """

    operator_code: str | None
    country: str | None
    first_name: str
    last_name: str
    tags: Iterable[str]
    timezone: str | None
    attributes: dict[str, Any]
    opted_out: bool
    is_active: bool


def clean(given: Mapping[str, Any], phone: int | None = None) -> dict[str, Any]:
    """Return the fields as they are stored. Derived ones are left out, after comparison with the phone.

    Raises ValidationError by field, with all errors at once.
    """
    cleaned: dict[str, Any] = {}
    errors: dict[str, Any] = {}
    for name, value in given.items():
        try:
            cleaned[name] = _clean_phone(value, given.get("country")) if name == "phone" else _CLEAN[name](value)
        except ValidationError as error:
            errors[name] = error
    phone = None if "phone" in errors else cleaned.get("phone", phone)
    for name, message in _CONTRADICTIONS.items():
        value = cleaned.pop(name, None)
        if phone and value and value != phones.derived(phone)[name]:
            errors[name] = ValidationError(message)
    if errors:
        raise ValidationError(errors)
    return cleaned


def clean_tags(raw: Iterable[str]) -> list[str]:
    """Return normalised tags in order, so that two requests that add the same new tags lock them in the same order."""
    names = sorted({_clean_tag(name) for name in raw})
    if len(names) > MAX_TAGS:
        raise ValidationError(_("A contact can have at most %(n)d tags."), params={"n": MAX_TAGS})
    return names


@lru_cache(maxsize=4096)
def _clean_tag(raw: str) -> str:
    name = tag_name(raw)
    validate_tag_name(name)
    return name


def _clean_phone(raw: str | int, country: str | None = None) -> int:
    return phones.deliverable(raw, _clean_country(country))


def _clean_country(raw: str | None) -> str:
    return (raw or "").strip().upper()


@lru_cache(maxsize=65536)
def _clean_name(raw: str) -> str:
    name = unicodedata.normalize("NFC", " ".join(raw.split()))
    Contact._meta.get_field("first_name").clean(name, None)
    return name


@lru_cache(maxsize=1024)
def _clean_timezone(raw: str | None) -> str:
    if raw:
        Contact._meta.get_field("timezone").clean(raw, None)
    return raw or ""


def _clean_attributes(value: dict[str, Any]) -> dict[str, Any]:
    validate_attributes(value)
    return value


def _clean_flag(value: Any) -> bool:
    return bool(Contact._meta.get_field("is_active").clean(value, None))


_CLEAN: Final[dict[str, Callable[[Any], Any]]] = {
    "phone": _clean_phone,
    "operator_code": lambda value: value,
    "country": _clean_country,
    "first_name": _clean_name,
    "last_name": _clean_name,
    "tags": clean_tags,
    "timezone": _clean_timezone,
    "attributes": _clean_attributes,
    "opted_out": _clean_flag,
    "is_active": _clean_flag,
}
_CONTRADICTIONS: Final = {
    "operator_code": _("The operator code does not match the phone number."),
    "country": _("The country does not match the phone number."),
}
"""The derived fields that may be given, and what is said if they contradict the phone."""
