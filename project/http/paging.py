"""Keyset pages of lists, whose cost does not grow with their position."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import Model, QuerySet
from django.utils.translation import gettext as _
from ninja import Field, Schema

from project.http.errors import Invalid
from project.http.lists import Order, OrderedPage, page_after, read_cursor

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


class SortedQuery(Schema):
    """The query parameters of a list in another order than that of ids."""

    limit: int = Field(50, ge=1, le=500, description="How many items at most")
    cursor: str | None = Field(None, max_length=1000, description="`next` of the page before")


class SortedPage(Schema, Generic[T]):
    """Like `Page`, of a list in another order than that of ids."""

    items: list[T]
    next: str | None


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


def sorted_page(queryset: QuerySet[M], order: Order, query: SortedQuery) -> OrderedPage[M]:
    """Return one page of `queryset` in that order. Raises Invalid for a cursor that is not of such a list."""
    names = [name.removeprefix("-") for name in order]
    if query.cursor is not None and not read_cursor(query.cursor, queryset, names):
        raise Invalid(["query", "cursor"], _("This is not a cursor of this list."))
    return page_after(queryset, order, query.cursor, query.limit)
