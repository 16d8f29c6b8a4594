"""What can be done with a tag itself, and who may: administrators, and whoever added all contacts that have it."""

from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.dispatch import Signal
from django.utils.timezone import now
from django.utils.translation import gettext as _

from accounts.models import User
from directory.models import SavedAudience, Tag, Tagging, Tone
from directory.names import tag_name, validate_tag_name
from project.http import Conflict

tag_renamed = Signal()
"""A tag has another name now, or has become one with another: `old` and `new`, within the transaction."""


def may_change_tag(user: User, tag: Tag) -> bool:
    """Whether nobody else's contact has it, or the user is an administrator."""
    return user.is_staff or not Tagging.objects.filter(tag=tag).exclude(contact__owner=user).exists()


def check_may_change(user: User, tag: Tag) -> None:
    """PermissionDenied unless `may_change_tag`."""
    if not may_change_tag(user, tag):
        raise PermissionDenied(_("Contacts of others have this tag too: only an administrator may change it."))


@transaction.atomic
def tag_update(*, tag: Tag, by: User, name: str, tone: str) -> Tag:
    """Give a tag another name and colour; audiences that name it follow.

    ValidationError by field; Conflict if there is a tag of that name, for then they are to be merged.
    """
    check_may_change(by, tag)
    old, new = tag.name, tag_name(name)
    errors: dict[str, Any] = {}
    try:
        validate_tag_name(new)
    except ValidationError as error:
        errors["name"] = error
    if tone not in Tone.values:
        errors["tone"] = ValidationError(_("There is no such colour."))
    if errors:
        raise ValidationError(errors)
    tag.name, tag.tone = new, tone
    try:
        with transaction.atomic():
            tag.save()
    except IntegrityError as error:
        raise Conflict(_("There is a tag of this name already. Merge this one into it.")) from error
    if new != old:
        _rename(old, new)
    return tag


def tag_gone(name: str, *, into: str) -> None:
    """No contact has the tag any more: remove it, and have audiences name what it was merged into, if anything."""
    Tag.objects.filter(name=name).delete()
    if into:
        _rename(name, into)


def tags_counted() -> QuerySet[Tag]:
    """All tags, each with the `number` of its contacts, read from an index."""
    taggings = Tagging.objects.filter(tag=OuterRef("pk")).order_by().values("tag")
    return Tag.objects.annotate(number=Coalesce(Subquery(taggings.values(number=Count("*"))), 0))


def _rename(old: str, new: str) -> None:
    for saved in SavedAudience.objects.select_for_update():
        renamed = saved.picks.renamed(old, new).to_json()
        if renamed != saved.audience:
            SavedAudience.objects.filter(pk=saved.pk).update(audience=renamed, updated_at=now())
    tag_renamed.send(sender=Tag, old=old, new=new)
