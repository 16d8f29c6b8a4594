"""What is done to many contacts at once, in batches: the row of a `BulkAction` is its whole state.

Each batch is a short transaction that changes contacts and moves the action's position, so whichever worker looks next
goes on from there, and a batch that was interrupted never happened.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Count, Max
from django.utils.timezone import now

from accounts.history import Change, of_set, record
from accounts.models import User
from directory.details import MAX_TAGS
from directory.listing import exact_number_of
from directory.models import BulkAction, Contact, ContactQuerySet, Deed, Tag, Tagging
from directory.names import tag_name, validate_tag_name
from directory.tags import tag_gone
from project.queue import enqueue

WORK: Final = "directory.tasks.bulk"
_BATCH: Final = 2000
_AT_A_TIME: Final = 15.0
_ALL: Final = 2**63 - 1
_WITH_TAG: Final = frozenset({Deed.TAG, Deed.UNTAG})


def bulk_start(
    *,
    by: User,
    deed: Deed,
    tag: str = "",
    into: str = "",
    ids: Iterable[int] | None = None,
    filters: dict[str, Any] | None = None,
) -> BulkAction:
    """Do something to the contacts of `ids`, or to all that `filters` (of `ContactQuerySet.narrow`) find.

    What fits into one batch is done when this returns, the rest goes on in the background. Contacts that `by` may not
    change are left alone and counted. ValidationError if the tag is none.
    """
    name = tag_name(tag)
    if deed in _WITH_TAG:
        try:
            validate_tag_name(name)
        except ValidationError as error:
            raise ValidationError({"tag": error}) from error
    action = BulkAction(
        owner=by, deed=deed, tag=name, into=into, ids=None if ids is None else sorted(set(ids)), filters=filters or {}
    )
    found = _concerned(action)
    action.total = exact_number_of(found)
    whole_tag = deed in (Deed.MERGE, Deed.DELETE_TAG)
    action.last_id = _ALL if whole_tag else found.order_by().aggregate(last=Max("pk"))["last"] or 0
    with transaction.atomic():
        action.save()
        enqueue(WORK, action.pk)
    if action.total <= _BATCH:
        bulk_work(action.pk)
        action.refresh_from_db()
    return action


def bulk_scope(*, by: User, ids: Iterable[int] | None, filters: dict[str, Any]) -> tuple[int, int]:
    """How many contacts that would be, and how many of them `by` may change."""
    found = _concerned(BulkAction(ids=None if ids is None else list(ids), filters=filters, last_id=_ALL))
    total = exact_number_of(found)
    return total, total if by.is_staff else exact_number_of(found.changeable_by(by))


def bulk_work(action_id: int) -> None:
    """Go on with an action for a while, then leave the rest to another task."""
    until = time.monotonic() + _AT_A_TIME
    while _batch(action_id):
        if time.monotonic() > until:
            enqueue(WORK, action_id)
            return


def remind() -> None:
    """Leave a hint for each action that is not finished: its worker may have died."""
    for pk in BulkAction.objects.filter(finished_at=None).values_list("pk", flat=True):
        enqueue(WORK, pk)


def _concerned(action: BulkAction) -> ContactQuerySet:
    """The contacts that it is about, done or not."""
    if action.ids is not None:
        return Contact.objects.filter(pk__in=action.ids)
    return Contact.objects.narrow(**action.filters)


@transaction.atomic
def _batch(action_id: int) -> bool:
    """Do the next contacts; return whether there may be more to do. Nothing while another worker is at it."""
    unfinished = BulkAction.objects.filter(pk=action_id, finished_at=None).select_related("owner")
    action = unfinished.select_for_update(of=("self",), skip_locked=True).first()
    if action is None:
        return False
    ahead = _concerned(action).filter(pk__gt=action.position, pk__lte=action.last_id).order_by("pk")
    # Not against who freezes the recipients of a campaign: that one needs only that contacts stay.
    rows = list(ahead.select_for_update(of=("self",), no_key=True).values_list("pk", "owner_id")[:_BATCH])
    allowed = [pk for pk, owner in rows if action.owner.is_staff or owner == action.owner_id]
    refused, changed = _DEEDS[Deed(action.deed)](action, allowed)
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
    if action.deed in (Deed.MERGE, Deed.DELETE_TAG):
        tag_gone(action.tag, into=action.into)


def _tag(action: BulkAction, ids: list[int], name: str = "") -> tuple[int, list[int]]:
    """Give a tag to those that have not too many."""
    tag, _created = Tag.objects.get_or_create(name=name or action.tag)
    have = set(Tagging.objects.filter(tag=tag, contact__in=ids).values_list("contact_id", flat=True))
    counted = Tagging.objects.filter(contact__in=ids).values("contact").annotate(number=Count("pk"))
    full = set(counted.filter(number__gte=MAX_TAGS).values_list("contact", flat=True)) - have
    changed = [pk for pk in ids if pk not in have and pk not in full]
    Tagging.objects.bulk_create([Tagging(contact_id=pk, tag=tag) for pk in changed], ignore_conflicts=True)
    record(Contact, changed, action.owner, {"tags": of_set("add", [tag.name])})
    return len(full), changed


def _untag(action: BulkAction, ids: list[int]) -> tuple[int, list[int]]:
    """Take a tag from those that have it."""
    taggings = Tagging.objects.filter(tag__name=action.tag, contact__in=ids)
    changed = list(taggings.values_list("contact_id", flat=True))
    Tagging.objects.filter(tag__name=action.tag, contact__in=changed).delete()
    record(Contact, changed, action.owner, {"tags": of_set("delete", [action.tag])})
    return 0, changed


def _merge(action: BulkAction, ids: list[int]) -> tuple[int, list[int]]:
    """First take, then give: so nobody has too many."""
    changed = _untag(action, ids)[1]
    _tag(action, changed, action.into)
    return 0, changed


def _set_active(active: bool) -> Callable[[BulkAction, list[int]], tuple[int, list[int]]]:
    def deed(action: BulkAction, ids: list[int]) -> tuple[int, list[int]]:
        changed = list(
            Contact.objects.filter(pk__in=ids, is_active=not active, phone__gt=0).values_list("pk", flat=True)
        )
        Contact.objects.filter(pk__in=changed).update(is_active=active)
        record(Contact, changed, action.owner, {"is_active": Change(not active, active)})
        return 0, changed

    return deed


# Each returns how many it could not do, and the ids of those that it changed.
_DEEDS: Final[dict[Deed, Callable[[BulkAction, list[int]], tuple[int, list[int]]]]] = {
    Deed.TAG: _tag,
    Deed.UNTAG: _untag,
    Deed.DEACTIVATE: _set_active(False),
    Deed.REACTIVATE: _set_active(True),
    Deed.MERGE: _merge,
    Deed.DELETE_TAG: _untag,
}
