"""Taking back what a batch wrote: contacts that it made are removed, what it changed goes back.

What somebody has changed since stays as it is; who has been written to is deactivated, since the history needs them.
"""

from datetime import datetime
from typing import Final

from django.db.models import PROTECT, Exists, OuterRef, Q
from django.utils.timezone import now

from directory.imports.models import Batch, Import
from directory.models import Contact
from directory.upsert import contacts_restore
from project.sql import is_among

KEPT_SHOWN: Final = 100


def undo_batch(row: Import, batch: Batch) -> None:
    """Take a batch back within the caller's transaction, and count what became of it; batches go latest first."""
    moment = now()
    changed = {pk: (before, tagged) for pk, before, tagged in batch.changed}
    ours = _untouched([*batch.created, *changed], {batch.moment, *map(datetime.fromisoformat, row.undo_moments)})
    _remove(row, [pk for pk in batch.created if pk in ours], moment)
    restored = {pk: values for pk, values in changed.items() if pk in ours}
    contacts_restore(restored, moment)
    row.restored += len(restored)
    kept = [pk for pk in (*batch.created, *changed) if pk not in ours]
    row.kept += len(kept)
    row.kept_contacts = [*row.kept_contacts, *kept][:KEPT_SHOWN]
    row.undo_moments = [*row.undo_moments, moment.isoformat()]
    batch.delete()


def _untouched(ids: list[int], moments: set[datetime]) -> set[int]:
    """Those that nobody but this import has changed, locked."""
    found = Contact.objects.filter(is_among("id", ids)).select_for_update().order_by("phone")
    return {pk for pk, updated_at in found.values_list("pk", "updated_at") if updated_at in moments}


def _remove(row: Import, ids: list[int], moment: datetime) -> None:
    """Delete what nothing holds on to, and deactivate the rest."""
    chosen = Contact.objects.filter(is_among("directory_contact.id", ids))
    held = set(chosen.filter(_held()).values_list("pk", flat=True))
    free = set(ids) - held
    Contact.tags.through.objects.filter(is_among("contact_id", free)).delete()
    Contact.objects.filter(is_among("directory_contact.id", free)).delete()
    Contact.objects.filter(is_among("directory_contact.id", held)).update(is_active=False, updated_at=moment)
    row.removed += len(free)
    row.deactivated += len(held)


def _held() -> Q:
    """Whether something that must stay, like a message, points at a contact."""
    held = Q(pk__in=[])
    for relation in Contact._meta.related_objects:
        if relation.on_delete is PROTECT:
            pointing = relation.related_model._default_manager.filter(**{relation.field.name: OuterRef("pk")})
            held |= Q(Exists(pointing))
    return held
