"""Who may do what: rows belong to their owners, and administrators may change everything.

The rule as a predicate, as a check and as a filter.
"""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import Q


def may_change(user: Any, row: Any) -> bool:
    """Whether the user owns the row (`owner_id`), or is an administrator."""
    return may_change_rows_of(user, row.owner_id)


def may_change_rows_of(user: Any, owner_id: int) -> bool:
    """Whether the user may change the rows of this owner."""
    return bool(user.is_staff) or owner_id == user.pk


def check_may_change(user: Any, row: Any) -> None:
    """Raise PermissionDenied with the model's `NOT_YOURS` unless `may_change`."""
    if not may_change(user, row):
        raise PermissionDenied(str(row.NOT_YOURS))


def changeable_by(user: Any) -> Q:
    """Match the rows that `may_change` allows the user to change."""
    return Q() if user.is_staff else Q(owner=user.pk)
