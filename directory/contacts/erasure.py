"""Erasing a person (GDPR, article 17; 152-FZ, article 21): personal data is deleted, figures stay.

The contact's row stays without personal data, so that messages keep their contact and counts do not change. Its phone
becomes its negative id, and it is deactivated for ever. Only a phone that opted out remains, on the suppression list
and nowhere else, because it must not be contacted again.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from auditlog.models import LogEntry
from django.db import transaction
from django.db.models import Model, TextField
from django.db.models.functions import Cast
from django.dispatch import Signal
from django.utils.translation import gettext as _

from accounts.api_access.idempotency import delete_answers_containing
from accounts.audit_log import Change, record
from accounts.models import User, default_timezone
from accounts.sessions import delete_sessions_containing
from accounts.webhooks.services import erase_phone_from_events
from directory import phones
from directory.contacts.policies import check_may_change_contact
from directory.fields import FIELDS
from directory.imports.models import AT_WORK, Batch, Import, ImportStatus, RejectedRow
from directory.models import BulkAction, Contact, LastContacted, Source, Suppression, Tagging
from project.core.clock import now
from project.http.errors import Conflict

_OVERLAP: Final = 128
"""Bytes: more than a phone takes in any notation and encoding."""

contact_erased: Final = Signal()
"""Sent within the transaction with `contact`, which still has its phone, and `phone`, which replaces it."""


@transaction.atomic
def contact_erase(*, contact: Contact, by: User) -> None:
    """Erase a person irreversibly. Does nothing if the contact is erased already.

    Raises PermissionDenied unless `by` may change the contact, and Conflict while a message to it is being sent.
    """
    current = Contact.objects.select_for_update().get(pk=contact.pk)
    if current.erased:
        return
    check_may_change_contact(by, current)
    pattern = phones.phone_pattern(current.phone)
    contact_erased.send(sender=Contact, contact=current, phone=-current.pk)
    _erase_imports(current, pattern)
    _erase_bulk_actions(pattern)
    erase_phone_from_events(current.phone, pattern)
    delete_answers_containing(pattern)
    delete_sessions_containing(pattern)
    LogEntry.objects.get_for_object(current).delete()
    LastContacted.objects.filter(contact=current).delete()
    Tagging.objects.filter(contact=current).delete()
    # The next owner of this phone can't release it by a reply.
    Suppression.objects.filter(phone=current.phone).update(reason="", by=None, source=Source.PERSON)
    Contact.objects.filter(pk=current.pk).update(**_erased_values(current), updated_at=now())
    record(Contact, [current.pk], by, {"is_active": Change(True, False)})


def _erased_values(contact: Contact) -> dict[str, Any]:
    """Return the columns of an erased contact: what is personal is empty, or has a value that tells nothing."""
    empty = {field.name: field.default for field in FIELDS if field.personal and not field.related}
    return {
        **empty,
        "phone": -contact.pk,
        "timezone": default_timezone(),
        "is_active": False,
        "opted_out": False,
    }


def _erase_imports(contact: Contact, pattern: re.Pattern[str]) -> None:
    """Delete imports, undo data and rejected rows that have the phone.

    Raises Conflict while a file with the phone is being imported.
    """
    for row in Import.objects.filter(chunks__isnull=False).distinct():
        unreadable_yet = row.status == ImportStatus.READING and row.workbook  # a zipped file, for seconds
        if not unreadable_yet and not any(pattern.search(text) for text in _decoded_chunks(row)):
            continue
        if row.status in AT_WORK:
            raise Conflict(
                _(
                    "A file that may contain this phone number is being imported. Try again when the import has "
                    "finished."
                )
            )
        row.delete()
    for batch in _rows_containing(Batch, "changed", f"[{contact.pk},"):
        batch.changed = [entry for entry in batch.changed if entry[0] != contact.pk]
        batch.save()
    for rejected_row in RejectedRow.objects.iterator(1000):
        if any(pattern.search(str(cell)) for cell in rejected_row.cells):
            rejected_row.cells, rejected_row.reason = [], _("The contact was erased.")
            rejected_row.save()


def _decoded_chunks(row: Import) -> Iterator[str]:
    """Decode a file chunk by chunk, each with the end of the one before, because a phone may cross the border."""
    tail = b""
    for content in row.chunks.order_by("number").values_list("content", flat=True).iterator(4):
        chunk = tail + bytes(content)
        # With two bytes per character, a chunk may start within a character, so both offsets are tried.
        yield chunk.decode(row.encoding, "replace")
        if row.encoding.startswith("utf-16"):
            yield chunk[1:].decode(row.encoding, "replace")
        tail = chunk[-_OVERLAP:]


def _erase_bulk_actions(pattern: re.Pattern[str]) -> None:
    """Clear filters that mention the phone. `ids` becomes empty, because an action without filter includes everyone."""
    for row in BulkAction.objects.exclude(filters={}):
        if pattern.search(json.dumps(row.filters, ensure_ascii=False, default=str)):
            row.filters, row.ids = {}, []
            row.save(update_fields=["filters", "ids"])


def _rows_containing(model: type[Model], name: str, text: str) -> Any:
    """Return the rows whose JSON contains that text."""
    return model._base_manager.annotate(as_text=Cast(name, TextField())).filter(as_text__contains=text).iterator(200)
