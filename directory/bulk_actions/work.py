"""Bulk actions, done in batches. The row of a `BulkAction` is its whole state.

Each batch is a short transaction that changes contacts and advances the position. Any worker can continue, and an
interrupted batch has no effect.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Count, Max

from accounts.audit_log import Change, record, set_change
from accounts.models import User
from directory.contacts.listing import exact_count
from directory.contacts.policies import may_change_contact_of
from directory.contacts.rules import MAX_TAGS
from directory.models import BulkAction, BulkActionType, Contact, ContactQuerySet, Tag, Tagging
from directory.tags.names import tag_name, validate_tag_name
from directory.tags.services import tag_removed
from project.core.clock import now
from project.queue.tasks import task

_BATCH: Final = 2000
_SESSION_SECONDS: Final = 15.0
_MAX_ID: Final = 2**63 - 1
_NEEDS_TAG: Final = frozenset({BulkActionType.TAG, BulkActionType.UNTAG})


def bulk_start(
    *,
    by: User,
    kind: BulkActionType,
    tag: str = "",
    into: str = "",
    ids: Iterable[int] | None = None,
    filters: dict[str, Any] | None = None,
) -> BulkAction:
    """Apply an action to the contacts `ids`, or to all that match `filters` (of `ContactQuerySet.narrow`).

    An action that fits into one batch is done on return; otherwise it continues in the background. Contacts that `by`
    may not change are skipped and counted. Raises ValidationError for an invalid tag.
    """
    name = tag_name(tag)
    if kind in _NEEDS_TAG:
        try:
            validate_tag_name(name)
        except ValidationError as error:
            raise ValidationError({"tag": error}) from error
    action = BulkAction(
        owner=by, kind=kind, tag=name, into=into, ids=None if ids is None else sorted(set(ids)), filters=filters or {}
    )
    contacts = _contacts_of(action)
    action.total = exact_count(contacts)
    whole_tag = kind in (BulkActionType.MERGE, BulkActionType.DELETE_TAG)
    action.last_id = _MAX_ID if whole_tag else contacts.order_by().aggregate(last=Max("pk"))["last"] or 0
    with transaction.atomic():
        action.save()
        bulk.enqueue(action.pk)
    if action.total <= _BATCH:
        bulk_work(action.pk)
        action.refresh_from_db()
    return action


def bulk_scope(*, by: User, ids: Iterable[int] | None, filters: dict[str, Any]) -> tuple[int, int]:
    """Return how many contacts the action concerns, and how many of them `by` may change."""
    contacts = _contacts_of(BulkAction(ids=None if ids is None else list(ids), filters=filters, last_id=_MAX_ID))
    total = exact_count(contacts)
    return total, total - exact_count(contacts.unchangeable_by(by))


@task("directory.tasks.bulk")
def bulk(action_id: int) -> None:
    """A bulk action has something to do."""
    bulk_work(action_id)


def bulk_work(action_id: int) -> None:
    """Continue an action for a while, then enqueue the rest."""
    deadline = time.monotonic() + _SESSION_SECONDS
    while _batch(action_id):
        if time.monotonic() > deadline:
            bulk.enqueue(action_id)
            return


def requeue_unfinished() -> None:
    """Enqueue each unfinished action again, because its worker may have died."""
    for pk in BulkAction.objects.filter(finished_at=None).values_list("pk", flat=True):
        bulk.enqueue(pk)


def _contacts_of(action: BulkAction) -> ContactQuerySet:
    """Return the contacts of the action, whether done or not."""
    if action.ids is not None:
        return Contact.objects.filter(pk__in=action.ids)
    return Contact.objects.narrow(**action.filters)


@transaction.atomic
def _batch(action_id: int) -> bool:
    """Process the next batch; return whether there may be more. Does nothing while another worker holds the action."""
    unfinished = BulkAction.objects.filter(pk=action_id, finished_at=None).select_related("owner")
    action = unfinished.select_for_update(of=("self",), skip_locked=True).first()
    if action is None:
        return False
    remaining = _contacts_of(action).filter(pk__gt=action.position, pk__lte=action.last_id).order_by("pk")
    # A weaker lock, so that it does not block the freezing of recipients, which only needs the rows to exist.
    rows = list(remaining.select_for_update(of=("self",), no_key=True).values_list("pk", "owner_id", "phone")[:_BATCH])
    allowed = [pk for pk, owner, phone in rows if may_change_contact_of(action.owner, owner_id=owner, phone=phone)]
    refused, changed = _ACTIONS[BulkActionType(action.kind)](action, allowed)
    Contact.objects.filter(pk__in=changed).update(updated_at=now())
    action.changed += len(changed)
    action.refused += len(rows) - len(allowed) + refused
    action.unchanged += len(allowed) - len(changed) - refused
    if rows:
        action.position = rows[-1][0]
    if len(rows) < _BATCH:
        _finish(action)
    action.save()
    return action.finished_at is None


def _finish(action: BulkAction) -> None:
    action.finished_at = now()
    if action.kind in (BulkActionType.MERGE, BulkActionType.DELETE_TAG):
        tag_removed(action.tag, into=action.into)


def _tag(action: BulkAction, ids: list[int], name: str = "") -> tuple[int, list[int]]:
    """Add a tag to contacts that have room for it."""
    tag, _created = Tag.objects.get_or_create(name=name or action.tag)
    tagged = set(Tagging.objects.filter(tag=tag, contact__in=ids).values_list("contact_id", flat=True))
    counts = Tagging.objects.filter(contact__in=ids).values("contact").annotate(number=Count("pk"))
    full = set(counts.filter(number__gte=MAX_TAGS).values_list("contact", flat=True)) - tagged
    changed = [pk for pk in ids if pk not in tagged and pk not in full]
    Tagging.objects.bulk_create([Tagging(contact_id=pk, tag=tag) for pk in changed], ignore_conflicts=True)
    record(Contact, changed, action.owner, {"tags": set_change("add", [tag.name])})
    return len(full), changed


def _untag(action: BulkAction, ids: list[int]) -> tuple[int, list[int]]:
    """Remove a tag from contacts."""
    taggings = Tagging.objects.filter(tag__name=action.tag, contact__in=ids)
    changed = list(taggings.values_list("contact_id", flat=True))
    Tagging.objects.filter(tag__name=action.tag, contact__in=changed).delete()
    record(Contact, changed, action.owner, {"tags": set_change("delete", [action.tag])})
    return 0, changed


def _merge(action: BulkAction, ids: list[int]) -> tuple[int, list[int]]:
    """Remove the old tag first, so that no contact has too many."""
    changed = _untag(action, ids)[1]
    _tag(action, changed, action.into)
    return 0, changed


def _set_active(active: bool) -> Callable[[BulkAction, list[int]], tuple[int, list[int]]]:
    def kind(action: BulkAction, ids: list[int]) -> tuple[int, list[int]]:
        changed = list(Contact.objects.filter(pk__in=ids, is_active=not active).values_list("pk", flat=True))
        Contact.objects.filter(pk__in=changed).update(is_active=active)
        record(Contact, changed, action.owner, {"is_active": Change(not active, active)})
        return 0, changed

    return kind


# Each returns how many contacts it refused, and the ids of those it changed.
_ACTIONS: Final[dict[BulkActionType, Callable[[BulkAction, list[int]], tuple[int, list[int]]]]] = {
    BulkActionType.TAG: _tag,
    BulkActionType.UNTAG: _untag,
    BulkActionType.DEACTIVATE: _set_active(False),
    BulkActionType.REACTIVATE: _set_active(True),
    BulkActionType.MERGE: _merge,
    BulkActionType.DELETE_TAG: _untag,
}
