"""The suppression list: phones that are never written to, and the contacts' `opted_out`, which says the same.

Whatever changes the one changes the other in the same transaction. Neither an import nor anything else that adds
contacts takes a phone off the list; only a person does, who names it.
"""

from collections.abc import Collection, Iterable
from typing import Final

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.timezone import now
from django.utils.translation import gettext as _

from accounts.history import Change, record
from accounts.models import User
from directory.models import Contact, ContactQuerySet, Source, Suppression
from project.sql import is_among

_BATCH: Final = 2000


@transaction.atomic
def suppress(numbers: Iterable[int], *, by: User | None, source: Source = Source.PERSON, reason: str = "") -> int:
    """Put phones on the list and have their contacts opted out; return how many were not there before.

    Anyone may: nobody is written to against their will because they are somebody else's contact.
    """
    listed = sorted(set(numbers))
    added = 0
    for start in range(0, len(listed), _BATCH):
        batch = listed[start : start + _BATCH]
        known = set(Suppression.objects.filter(phone__in=batch).values_list("phone", flat=True))
        rows = [Suppression(phone=phone, by=by, source=source, reason=reason) for phone in batch if phone not in known]
        Suppression.objects.bulk_create(rows, ignore_conflicts=True)
        _opt_out(Contact.objects.filter(phone__in=batch), by)
        added += len(rows)
    return added


@transaction.atomic
def release(phone: int, *, by: User) -> None:
    """Take a phone off the list: it may be written to again. Nothing happens to one that is not there.

    PermissionDenied unless `by` put it there, may change the contact that has it, or is an administrator.
    """
    row = Suppression.objects.select_for_update().filter(phone=phone).first()
    if row is None:
        return
    contact = Contact.objects.select_for_update().filter(phone=phone).first()
    if not may_release(row, contact, by):
        raise PermissionDenied(_("Only whoever put this phone on the list, or an administrator, may take it off."))
    row.delete()
    if contact and contact.opted_out:
        contact.opted_out = False
        contact.save(update_fields=["opted_out", "updated_at"])


def may_release(row: Suppression, contact: Contact | None, user: User) -> bool:
    """Whether a user put the phone on the list, may change the contact that has it, or is an administrator."""
    return user.may_change(row) or (contact is not None and user.may_change(contact))


def settle(numbers: Collection[int], *, opted_out: Iterable[int], by: User | None, source: Source) -> None:
    """After contacts with these phones were stored at once, some as opted out: make them and the list agree.

    What either says holds. Where they agree it takes one look at the list.
    """
    saying_so = set(opted_out)
    suppress(saying_so, by=by, source=source)
    listed = Suppression.objects.filter(is_among("phone", numbers)).values_list("phone", flat=True)
    silent = [phone for phone in listed if phone not in saying_so]
    for start in range(0, len(silent), _BATCH):
        _opt_out(Contact.objects.filter(phone__in=silent[start : start + _BATCH]), by)


def shut(numbers: Iterable[int]) -> set[int]:
    """Those of the phones that must not be written to: on the list, or of a contact that is deactivated."""
    asked = set(numbers)
    of_contacts = Contact.objects.unwritable().filter(phone__in=asked).values_list("phone", flat=True)
    return set(Suppression.objects.filter(phone__in=asked).values_list("phone", flat=True)) | set(of_contacts)


def _opt_out(contacts: ContactQuerySet, by: User | None) -> None:
    """Those that are not yet, with a record of it."""
    ids = list(contacts.filter(opted_out=False).values_list("pk", flat=True))
    if ids:
        Contact.objects.filter(pk__in=ids).update(opted_out=True, updated_at=now())
        record(Contact, ids, by, {"opted_out": Change(False, True)})
