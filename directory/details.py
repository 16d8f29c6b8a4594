"""What may be told of a contact, and the rule of each field. A form, a call and a row of a file are held to the same.

Values repeat in a directory, so what has been checked once is remembered: a million rows leave microseconds for each.
"""

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, TypedDict

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from directory import phones
from directory.attributes import validate_attributes
from directory.models import Contact
from directory.names import tag_name, validate_tag_name

MAX_TAGS: Final = 50


class ContactDetails(TypedDict, total=False):
    """What may be told of a contact besides its phone.

    `operator_code` is derived from the phone and only compared with it; an empty `timezone` asks for the likely one.
    """

    operator_code: str | None
    first_name: str
    last_name: str
    tags: Iterable[str]
    timezone: str | None
    attributes: dict[str, Any]
    opted_out: bool
    is_active: bool


def clean(told: Mapping[str, Any], phone: int | None = None) -> dict[str, Any]:
    """The fields as they are stored, all but `operator_code`, which is compared with the phone (told, or as known).

    ValidationError by field, with all that is wrong at once.
    """
    cleaned: dict[str, Any] = {}
    errors: dict[str, Any] = {}
    for name, value in told.items():
        try:
            cleaned[name] = _CLEAN[name](value)
        except ValidationError as error:
            errors[name] = error
    operator_code = cleaned.pop("operator_code", None)
    phone = None if "phone" in errors else cleaned.get("phone", phone)
    if phone and operator_code and operator_code != phones.operator_code(phone):
        errors["operator_code"] = ValidationError(_("The phone’s operator code is another one."))
    if errors:
        raise ValidationError(errors)
    return cleaned


def clean_tags(written: Iterable[str]) -> list[str]:
    """Sorted, so that two requests that add the same new tags lock them in the same order."""
    names = sorted({_clean_tag(name) for name in written})
    if len(names) > MAX_TAGS:
        raise ValidationError(_("A contact has at most %(n)d tags."), params={"n": MAX_TAGS})
    return names


@lru_cache(maxsize=4096)
def _clean_tag(written: str) -> str:
    name = tag_name(written)
    validate_tag_name(name)
    return name


@lru_cache(maxsize=65536)
def _clean_name(written: str) -> str:
    name = unicodedata.normalize("NFC", " ".join(written.split()))
    Contact._meta.get_field("first_name").clean(name, None)
    return name


@lru_cache(maxsize=1024)
def _clean_timezone(written: str | None) -> str:
    if written:
        Contact._meta.get_field("timezone").clean(written, None)
    return written or ""


def _clean_attributes(value: dict[str, Any]) -> dict[str, Any]:
    validate_attributes(value)
    return value


def _clean_flag(value: Any) -> bool:
    return bool(Contact._meta.get_field("is_active").clean(value, None))


_CLEAN: Final[dict[str, Callable[[Any], Any]]] = {
    "phone": phones.normalise,
    "operator_code": lambda value: value,
    "first_name": _clean_name,
    "last_name": _clean_name,
    "tags": clean_tags,
    "timezone": _clean_timezone,
    "attributes": _clean_attributes,
    "opted_out": _clean_flag,
    "is_active": _clean_flag,
}
