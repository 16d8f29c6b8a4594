"""The suppression list: phones that never receive campaign messages. Contacts' `opted_out` repeats it.

Both change in the same transaction. Only a user who names the phone can take it off the list; imports and other bulk
writes can't.
"""

from collections.abc import Collection, Iterable
from typing import Final

from django.db import transaction
from django.db.models import CharField, Q, QuerySet
from django.db.models.functions import Cast

from accounts.audit_log import Change, record
from accounts.models import User
from accounts.policies import check_may_change
from directory import phones
from directory.models import Contact, ContactQuerySet, Source, Suppression
from project.core.clock import now
from project.core.sql import is_among
from project.http.lists import Order

_BATCH: Final = 2000
NEWEST_FIRST: Final[Order] = ("-created_at", "-phone")


@transaction.atomic
def suppress(numbers: Iterable[int], *, by: User | None, source: Source = Source.PERSON, reason: str = "") -> int:
    """Add phones to the list, opt out their contacts, and return how many were new.

    Every user may: nobody receives messages against their will because another user owns the contact. Erased contacts
    have no phone, so they are passed over.
    """
    unique = sorted({number for number in numbers if number > 0})
    added = 0
    for start in range(0, len(unique), _BATCH):
        batch = unique[start : start + _BATCH]
        existing = set(Suppression.objects.filter(phone__in=batch).values_list("phone", flat=True))
        rows = [
            Suppression(phone=phone, by=by, source=source, reason=reason) for phone in batch if phone not in existing
        ]
        Suppression.objects.bulk_create(rows, ignore_conflicts=True)
        _opt_out(Contact.objects.filter(phone__in=batch), by)
        added += len(rows)
    return added


@transaction.atomic
def release(phone: int, *, by: User) -> None:
    """Remove a phone from the list. Does nothing if it is not there.

    Raises PermissionDenied unless `by` added it or is an administrator. The owner of the contact has no say, because
    anyone can add a contact.
    """
    contact = Contact.objects.select_for_update().filter(phone=phone).first()
    row = Suppression.objects.select_for_update().filter(phone=phone).first()
    if row is None:
        return
    check_may_change(by, row)
    row.delete()
    if contact and contact.opted_out:
        contact.opted_out = False
        contact.save(update_fields=["opted_out", "updated_at"])


@transaction.atomic
def release_by_reply(numbers: Collection[int]) -> None:
    """Remove those of the phones from the list that a reply has put there, and opt in their contacts.

    A reply can't undo what a person, a program or an import has decided.
    """
    contacts = Contact.objects.filter(phone__in=numbers, opted_out=True).order_by("pk").select_for_update(no_key=True)
    by_phone = dict(contacts.values_list("phone", "pk"))
    listed = Suppression.objects.filter(phone__in=numbers, source=Source.REPLY)
    released = list(listed.order_by("phone").select_for_update().values_list("phone", flat=True))
    Suppression.objects.filter(phone__in=released).delete()
    ids = sorted(by_phone[phone] for phone in released if phone in by_phone)
    if ids:
        Contact.objects.filter(pk__in=ids).update(opted_out=False, updated_at=now())
        record(Contact, ids, None, {"opted_out": Change(True, False)})


def sync_opt_outs(numbers: Collection[int], *, opted_out: Iterable[int], by: User | None, source: Source) -> None:
    """Make contacts and list agree after contacts were stored in bulk, some of them opted out.

    Either one opts out. Costs one query if they agree.
    """
    newly_opted_out = set(opted_out)
    suppress(newly_opted_out, by=by, source=source)
    not_yet_opted_out = sorted(suppressed(numbers) - newly_opted_out)
    for start in range(0, len(not_yet_opted_out), _BATCH):
        _opt_out(Contact.objects.filter(phone__in=not_yet_opted_out[start : start + _BATCH]), by)


def suppressions(*, q: str = "", source: str = "") -> QuerySet[Suppression]:
    """Return the list, narrowed to phones with the digits of `q`, and to a source."""
    rows = Suppression.objects.select_related("by")
    if q:
        digits = Q()
        for variant in phones.search_variants(q):
            digits |= Q(phone_text__contains=variant)
        found = rows.annotate(phone_text=Cast("phone", CharField())).filter(digits)
        rows = found if phones.is_searchable(q) else rows.none()
    return rows.filter(source=source) if source else rows


def suppressed(numbers: Collection[int]) -> set[int]:
    """Return those of the phones that are on the list."""
    return set(Suppression.objects.filter(is_among("phone", numbers)).values_list("phone", flat=True))


def blocked_phones(numbers: Iterable[int]) -> set[int]:
    """Return those of the phones that must not be contacted: suppressed, or of a deactivated contact."""
    wanted = set(numbers)
    of_contacts = Contact.objects.not_contactable().filter(phone__in=wanted).values_list("phone", flat=True)
    return set(Suppression.objects.filter(phone__in=wanted).values_list("phone", flat=True)) | set(of_contacts)


def unanswerable_phones(numbers: Iterable[int]) -> set[int]:
    """Like `blocked_phones`, without those that have opted out by a reply: they get the answer to it."""
    wanted = set(numbers)
    listed = Suppression.objects.filter(phone__in=wanted).exclude(source=Source.REPLY)
    deactivated = Contact.objects.filter(phone__in=wanted, is_active=False)
    return set(listed.values_list("phone", flat=True)) | set(deactivated.values_list("phone", flat=True))


def _opt_out(contacts: ContactQuerySet, by: User | None) -> None:
    """Opt out the contacts that are not yet, and record it."""
    ids = list(contacts.filter(opted_out=False).values_list("pk", flat=True))
    if ids:
        Contact.objects.filter(pk__in=ids).update(opted_out=True, updated_at=now())
        record(Contact, ids, by, {"opted_out": Change(False, True)})
