"""Operations on contacts, and who may do them. Pages, API and commands call these functions."""

from typing import Any, Unpack

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.optimistic_locking import check_version
from directory.contacts.policies import check_may_change_contact
from directory.contacts.rules import ContactDetails, clean
from directory.models import Contact, Source, Suppression, Tag, likely_timezone
from directory.suppression.services import release, suppress
from project.http.errors import Conflict


class ContactChanges(ContactDetails, total=False):
    """The fields of a contact that can change."""

    phone: str | int


@transaction.atomic
def contact_create(
    *, owner: User, phone: str | int, source: Source = Source.PERSON, **details: Unpack[ContactDetails]
) -> Contact:
    """Add a contact. Raises ValidationError by field, and Conflict if another contact has the phone.

    A contact whose phone is on the suppression list is opted out, whatever the fields say.
    """
    row = _store(Contact(owner=owner), {"phone": phone, "timezone": None, **details})
    return _sync_suppression(row, owner, source)


@transaction.atomic
def contact_update(
    *,
    contact: Contact,
    by: User,
    source: Source = Source.PERSON,
    version: str | None = None,
    **changes: Unpack[ContactChanges],
) -> Contact:
    """Change the given fields, and return the contact. Errors are those of `contact_create`, and:

    `Stale` (a Conflict) unless the contact has the given version.

    A change of `opted_out` also changes the suppression list.

    PermissionDenied and Conflict by `check_may_change_contact`. Every change, including tags, updates
    `updated_at`, by which a running campaign finds new recipients.
    """
    current = Contact.objects.select_for_update().get(pk=contact.pk)
    check_may_change_contact(by, current)
    check_version(current, version)
    released = current.phone if current.opted_out and changes.get("opted_out") is False else None
    row = _store(current, {**changes})
    if released is not None:
        release(released, by=by)
    return _sync_suppression(row, by, source)


def contact_deactivate(*, contact: Contact, by: User) -> Contact:
    """Deactivate a contact: no audience includes it. Its history stays. Permissions are those of `contact_update`."""
    return contact_update(contact=contact, by=by, is_active=False)


def _store(contact: Contact, values: dict[str, Any]) -> Contact:
    """Validate all fields together, then save."""
    cleaned = clean(values, contact.phone)
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
        raise Conflict(_("A contact with this phone number already exists.")) from error
    if tags is not None:
        Tag.objects.bulk_create([Tag(name=name) for name in tags], ignore_conflicts=True)
        contact.tags.set(Tag.objects.filter(name__in=tags))
    return contact


def _sync_suppression(contact: Contact, by: User, source: Source) -> Contact:
    """Make contact and suppression list agree: either one opts out."""
    if contact.opted_out:
        suppress([contact.phone], by=by, source=source)
    elif Suppression.objects.filter(phone=contact.phone).exists():
        contact.opted_out = True
        contact.save(update_fields=["opted_out", "updated_at"])
    return contact
