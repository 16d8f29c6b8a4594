"""Erasing a person (GDPR, article 17; 152-FZ, article 21): what is known of a contact goes, and the figures stay.

The contact's row stays without anything personal, so that each message still has one and every count is as it was: its
phone becomes its own id behind a minus sign, which nobody can write to, and it is deactivated for ever. Only a phone
that has opted out stays, on the suppression list and nowhere else, for that is what keeps it from being written to.
"""

import re
from typing import Any, Final

from auditlog.models import LogEntry
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Model, TextField
from django.db.models.functions import Cast
from django.dispatch import Signal
from django.utils.timezone import now
from django.utils.translation import gettext as _

from accounts.history import Change, record
from accounts.idempotency import forget_answers
from accounts.models import User, default_timezone
from accounts.webhooks.services import forget_events
from directory import phones
from directory.imports.models import Batch, SetAside
from directory.models import Contact, LastWritten, Suppression, Tagging
from directory.services import NOT_YOURS

contact_erased: Final = Signal()
"""A contact is being erased: `contact`, with its phone still, and the `phone` that it gets, within the transaction."""


@transaction.atomic
def contact_erase(*, contact: Contact, by: User) -> None:
    """Forget a person. There is no way back. Nothing happens to one that is erased already.

    PermissionDenied unless `by` added the contact or is an administrator; Conflict while a message to it is leaving.
    """
    current = Contact.objects.select_for_update().get(pk=contact.pk)
    if not by.may_change(current):
        raise PermissionDenied(NOT_YOURS)
    if current.erased:
        return
    contact_erased.send(sender=Contact, contact=current, phone=-current.pk)
    _forget_imports(current)
    forget_events(current.phone)
    forget_answers(str(current.phone))
    LogEntry.objects.get_for_object(current).delete()
    LastWritten.objects.filter(contact=current).delete()
    Tagging.objects.filter(contact=current).delete()
    Suppression.objects.filter(phone=current.phone).update(reason="", by=None)
    Contact.objects.filter(pk=current.pk).update(
        phone=-current.pk,
        operator_code="",
        first_name="",
        last_name="",
        attributes={},
        timezone=default_timezone(),
        is_active=False,
        opted_out=False,
        updated_at=now(),
    )
    record(Contact, [current.pk], by, {"is_active": Change(True, False)})


def _forget_imports(contact: Contact) -> None:
    """What undoing an import would bring back, and rows of files that were not written."""
    for batch in _holding(Batch, "changed", f"[{contact.pk},"):
        batch.changed = [entry for entry in batch.changed if entry[0] != contact.pk]
        batch.save()
    last = str(contact.phone)[-2:]
    for row in _holding(SetAside, "cells", last):
        if any(_is_phone(cell, contact.phone) for cell in row.cells):
            row.cells, row.reason = [], _("The contact was erased.")
            row.save()


def _holding(model: type[Model], name: str, text: str) -> Any:
    """Rows whose JSON, as text, holds that."""
    return model._base_manager.annotate(written=Cast(name, TextField())).filter(written__contains=text).iterator(200)


def _is_phone(cell: Any, phone: int) -> bool:
    try:
        return len(re.sub(r"\D", "", str(cell))) >= 10 and phones.normalise(str(cell)) == phone
    except ValidationError:
        return False
