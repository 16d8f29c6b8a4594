"""Operations on tags. Users may change a tag if they may change all its contacts."""

from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.dispatch import Signal
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.optimistic_locking import check_version
from directory.models import Contact, SavedAudience, Tag, Tagging, Tone
from directory.tags.names import tag_name, validate_tag_name
from project.core.clock import now
from project.http.errors import Conflict

tag_renamed = Signal()
"""Sent with `old` and `new` within the transaction when a tag is renamed or merged into another."""


def may_change_tag(user: User, tag: Tag) -> bool:
    """Whether the user may change all contacts with the tag."""
    return not Tagging.objects.filter(tag=tag, contact__in=Contact.objects.unchangeable_by(user)).exists()


def check_may_change_tag(user: User, tag: Tag) -> None:
    """Raise PermissionDenied unless `may_change_tag`."""
    if not may_change_tag(user, tag):
        raise PermissionDenied(_("Contacts of other users also have this tag, so only an administrator can change it."))


def tag_create(*, name: str, tone: str) -> Tag:
    """Add a tag that no contact has yet. Raises ValidationError by field, and Conflict if it exists."""
    tag = Tag(name=_checked_name(name, tone), tone=tone)
    try:
        with transaction.atomic():
            tag.save()
    except IntegrityError as error:
        raise Conflict(_("A tag with this name already exists.")) from error
    return tag


@transaction.atomic
def tag_update(*, tag: Tag, by: User, name: str, tone: str, version: str | None = None) -> Tag:
    """Change name and colour of a tag; audiences that use it follow.

    Raises ValidationError by field, Conflict if a tag of that name exists (merge them instead), and `Stale` (a
    Conflict) unless the tag has the given version.
    """
    check_may_change_tag(by, tag)
    check_version(Tag.objects.select_for_update().get(pk=tag.pk), version)
    old, new = tag.name, _checked_name(name, tone)
    tag.name, tag.tone = new, tone
    try:
        with transaction.atomic():
            tag.save()
    except IntegrityError as error:
        raise Conflict(_("A tag with this name already exists. Merge this tag into it.")) from error
    if new != old:
        _rename(old, new)
    return tag


def tag_removed(name: str, *, into: str) -> None:
    """Delete a tag that no contact has any more, and replace it in audiences if it was merged."""
    Tag.objects.filter(name=name).delete()
    if into:
        _rename(name, into)


def tags_with_counts() -> QuerySet[Tag]:
    """Return all tags, each with the `number` of its contacts, counted from an index."""
    taggings = Tagging.objects.filter(tag=OuterRef("pk")).order_by().values("tag")
    return Tag.objects.annotate(number=Coalesce(Subquery(taggings.values(number=Count("*"))), 0))


def _checked_name(name: str, tone: str) -> str:
    """Return the name as it is stored. Raises ValidationError by field."""
    normalised = tag_name(name)
    errors: dict[str, Any] = {}
    try:
        validate_tag_name(normalised)
    except ValidationError as error:
        errors["name"] = error
    if tone not in Tone.values:
        errors["tone"] = ValidationError(_("This colour does not exist."))
    if errors:
        raise ValidationError(errors)
    return normalised


def _rename(old: str, new: str) -> None:
    for saved in SavedAudience.objects.select_for_update():
        renamed = saved.audience_filter.with_tag_renamed(old, new).to_json()
        if renamed != saved.audience:
            SavedAudience.objects.filter(pk=saved.pk).update(audience=renamed, updated_at=now())
    tag_renamed.send(sender=Tag, old=old, new=new)
