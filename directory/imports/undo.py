"""Undoing a batch: contacts that it created are removed, contacts that it changed are restored.

Contacts changed since stay as they are. Contacts with messages are deactivated, because the history needs them.
"""

from datetime import datetime
from typing import Final

from django.db.models import PROTECT, Exists, OuterRef, Q

from directory.contacts.upsert import contacts_restore
from directory.imports.models import Batch, Import
from directory.models import Contact
from project.core.clock import now
from project.core.sql import is_among

MAX_KEPT_LISTED: Final = 100


def undo_batch(row: Import, batch: Batch) -> None:
    """Undo a batch within the caller's transaction, and count the results. Call in descending order of batches."""
    moment = now()
    changed = {pk: (before, tagged) for pk, before, tagged in batch.changed}
    untouched = _untouched([*batch.created, *changed], {batch.moment, *map(datetime.fromisoformat, row.undo_moments)})
    _remove(row, [pk for pk in batch.created if pk in untouched], moment)
    restored = {pk: values for pk, values in changed.items() if pk in untouched}
    contacts_restore(restored, moment)
    row.restored += len(restored)
    kept = [pk for pk in (*batch.created, *changed) if pk not in untouched]
    row.kept += len(kept)
    row.kept_contacts = [*row.kept_contacts, *kept][:MAX_KEPT_LISTED]
    row.undo_moments = [*row.undo_moments, moment.isoformat()]
    batch.delete()


def _untouched(ids: list[int], moments: set[datetime]) -> set[int]:
    """Return the ids that only this import has changed, and lock them."""
    contacts = Contact.objects.filter(is_among("id", ids)).select_for_update().order_by("phone")
    return {pk for pk, updated_at in contacts.values_list("pk", "updated_at") if updated_at in moments}


def _remove(row: Import, ids: list[int], moment: datetime) -> None:
    """Delete contacts without references, and deactivate the others."""
    contacts = Contact.objects.filter(is_among("directory_contact.id", ids))
    referenced = set(contacts.filter(_is_referenced()).values_list("pk", flat=True))
    unreferenced = set(ids) - referenced
    Contact.tags.through.objects.filter(is_among("contact_id", unreferenced)).delete()
    Contact.objects.filter(is_among("directory_contact.id", unreferenced)).delete()
    Contact.objects.filter(is_among("directory_contact.id", referenced)).update(is_active=False, updated_at=moment)
    row.removed += len(unreferenced)
    row.deactivated += len(referenced)


def _is_referenced() -> Q:
    """Return a condition: a row that must stay, such as a message, references the contact."""
    referenced = Q(pk__in=[])
    for relation in Contact._meta.related_objects:
        if relation.on_delete is PROTECT:
            references = relation.related_model._default_manager.filter(**{relation.field.name: OuterRef("pk")})
            referenced |= Q(Exists(references))
    return referenced
