"""What can be done with contacts, and who may do it. Pages, API and commands all come through here."""

from typing import Any, Final, Unpack

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from directory.details import ContactDetails, clean
from directory.models import Contact, Source, Suppression, Tag, likely_timezone
from directory.suppression import release, suppress
from project.http import Conflict

NOT_YOURS: Final = _("Only whoever added this contact, or an administrator, may change it.")


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
        raise PermissionDenied(NOT_YOURS)
    if current.erased:
        raise Conflict(_("This contact was erased. Add the person anew."))
    released = current.phone if current.opted_out and changes.get("opted_out") is False else None
    row = _store(current, {**changes})
    if released is not None:
        release(released, by=by)
    return _agree(row, by, source)


def contact_deactivate(*, contact: Contact, by: User) -> Contact:
    """Take a contact out of every audience; its history stays. Who may do it: see `contact_update`."""
    return contact_update(contact=contact, by=by, is_active=False)


def _store(contact: Contact, told: dict[str, Any]) -> Contact:
    """Check all fields, so that all errors are told together, then save."""
    cleaned = clean(told, contact.phone)
    tags = cleaned.pop("tags", None)
    for name, value in cleaned.items():
        setattr(contact, name, value)
    contact.timezone = contact.timezone or likely_timezone(contact.phone)
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
