"""What can be done with contacts, and who may do it. Pages, API and commands all come through here."""

import unicodedata
from collections.abc import Callable, Iterable
from typing import Any, Final, TypedDict, Unpack

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from accounts.models import User, default_timezone
from directory import phones
from directory.attributes import validate_attributes
from directory.models import Contact, Source, Suppression, Tag
from directory.names import tag_name, validate_tag_name
from directory.suppression import release, suppress
from project.http import Conflict

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


class ContactChanges(ContactDetails, total=False):
    """What may change of a contact."""

    phone: str | int


@transaction.atomic
def contact_create(
    *, owner: User, phone: str | int, source: Source = Source.PERSON, **details: Unpack[ContactDetails]
) -> Contact:
    """Add a contact. ValidationError by field; Conflict when another contact has the phone.

    One whose phone is on the suppression list has opted out, whatever is said of it. `source`: who says so.
    """
    row = _store(Contact(owner=owner), {"phone": phone, "timezone": None, **details})
    return _agree(row, owner, source)


@transaction.atomic
def contact_update(
    *, contact: Contact, by: User, source: Source = Source.PERSON, **changes: Unpack[ContactChanges]
) -> Contact:
    """Change the named fields and no other, and return the contact as it is now. Errors as for `contact_create`.

    What becomes of `opted_out` becomes of the suppression list.

    PermissionDenied unless `by` added the contact or is an administrator. Every change, of tags too, moves
    `updated_at`: by it a running campaign finds the contacts that came to match.
    """
    current = Contact.objects.select_for_update().get(pk=contact.pk)
    if not by.may_change(current):
        raise PermissionDenied(_("Only who added this contact, or an administrator, may change it."))
    released = current.phone if current.opted_out and changes.get("opted_out") is False else None
    row = _store(current, {**changes})
    if released is not None:
        release(released, by=by)
    return _agree(row, by, source)


def contact_deactivate(*, contact: Contact, by: User) -> Contact:
    """Take a contact out of every audience; its history stays. Who may do it: see `contact_update`."""
    return contact_update(contact=contact, by=by, is_active=False)


def _store(contact: Contact, fields: dict[str, Any]) -> Contact:
    """Check all fields, so that all errors are told together, then save."""
    errors: dict[str, Any] = {}
    for name, clean in _CLEAN.items():
        if name in fields:
            try:
                fields[name] = clean(fields[name])
            except ValidationError as error:
                errors[name] = error
    tags, operator_code = fields.pop("tags", None), fields.pop("operator_code", None)
    for name in fields.keys() - errors.keys():
        setattr(contact, name, fields[name])
    phone = None if "phone" in errors else contact.phone
    contact.timezone = contact.timezone or (phone and phones.timezone_of(phone)) or default_timezone()
    if phone and operator_code and operator_code != phones.operator_code(phone):
        errors["operator_code"] = ValidationError(_("The phone’s operator code is another one."))
    try:
        contact.clean_fields(exclude={"owner", "operator_code", *errors})
    except ValidationError as error:
        errors.update(error.error_dict)
    if errors:
        raise ValidationError(errors)
    return _save(contact, tags)


def _save(contact: Contact, tags: list[str] | None) -> Contact:
    try:
        with transaction.atomic():
            contact.save()
    except IntegrityError as error:
        raise Conflict(_("A contact with this phone exists already.")) from error
    if tags is not None:
        Tag.objects.bulk_create([Tag(name=name) for name in tags], ignore_conflicts=True)
        contact.tags.set(Tag.objects.filter(name__in=tags))
    return contact


def _agree(contact: Contact, by: User, source: Source) -> Contact:
    """What either the contact or the suppression list says holds for both."""
    if contact.opted_out:
        suppress([contact.phone], by=by, source=source)
    elif Suppression.objects.filter(phone=contact.phone).exists():
        contact.opted_out = True
        contact.save(update_fields=["opted_out", "updated_at"])
    return contact


def _clean_name(written: str) -> str:
    return unicodedata.normalize("NFC", " ".join(written.split()))


def _clean_tags(written: Iterable[str]) -> list[str]:
    """Sorted, so that two requests that add the same new tags lock them in the same order."""
    names = sorted({tag_name(name) for name in written})
    if len(names) > MAX_TAGS:
        raise ValidationError(_("A contact has at most %(n)d tags."), params={"n": MAX_TAGS})
    for name in names:
        validate_tag_name(name)
    return names


def _clean_attributes(value: dict[str, Any]) -> dict[str, Any]:
    validate_attributes(value)
    return value


_CLEAN: Final[dict[str, Callable[[Any], Any]]] = {
    "phone": phones.normalise,
    "first_name": _clean_name,
    "last_name": _clean_name,
    "tags": _clean_tags,
    "attributes": _clean_attributes,
}
