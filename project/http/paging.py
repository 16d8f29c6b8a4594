"""Keyset pages of lists, whose cost does not grow with their position."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import Model, QuerySet
from ninja import Field, Schema

T = TypeVar("T")
M = TypeVar("M", bound=Model)


class ListQuery(Schema):
    """The query parameters of every list."""

    limit: int = Field(50, ge=1, le=500, description="How many items at most")
    cursor: int | None = Field(None, ge=0, le=2**63 - 1, description="`next` of the page before")


class Page(Schema, Generic[T]):
    """One page of a list. `next` is the cursor of the next page, null on the last."""

    items: list[T]
    next: int | None


@dataclass(frozen=True)
class KeysetPage(Generic[M]):
    """Rows of one page, newest first, and the cursor of the next."""

    items: list[M]
    next: int | None


def keyset(queryset: QuerySet[M], cursor: int | None, limit: int) -> KeysetPage[M]:
    """Return one page of `queryset`, newest first, by primary key."""
    if cursor is not None:
        queryset = queryset.filter(pk__lt=cursor)
    rows = list(queryset.order_by("-pk")[: limit + 1])
    has_more = len(rows) > limit
    return KeysetPage(rows[:limit], rows[limit - 1].pk if has_more else None)


def page_of(rows: KeysetPage[M], to_schema: Callable[[M], Any]) -> dict[str, Any]:
    """Convert a `KeysetPage` to the JSON of a list."""
    return {"items": [to_schema(row) for row in rows.items], "next": rows.next}
