"""Merging and deleting tags: bulk actions over all their contacts."""

from accounts.models import User
from directory.bulk_actions.work import bulk_start
from directory.models import BulkAction, BulkActionType, Tag
from directory.tags.services import check_may_change_tag


def tag_merge(*, tag: Tag, into: Tag, by: User) -> BulkAction:
    """Replace a tag by another on all its contacts and in audiences, and delete it. PermissionDenied as for changes."""
    return _start(tag, by, BulkActionType.MERGE, into.name)


def tag_delete(*, tag: Tag, by: User) -> BulkAction:
    """Remove a tag from all its contacts, and delete it. PermissionDenied as for changes."""
    return _start(tag, by, BulkActionType.DELETE_TAG)


def _start(tag: Tag, by: User, kind: BulkActionType, into: str = "") -> BulkAction:
    check_may_change_tag(by, tag)
    return bulk_start(by=by, kind=kind, tag=tag.name, into=into, filters={"tags": [tag.name]})
