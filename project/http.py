"""What pages and API share over HTTP: the conflict error, keyset pages, and toasts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import Model, QuerySet
from django.http import HttpRequest
from ninja import Field, Schema

T = TypeVar("T")
M = TypeVar("M", bound=Model)


class Conflict(Exception):
    """The object's present state, or another object, forbids the action (HTTP 409)."""


class Signed(HttpRequest):
    """A request whose user is known to be signed in (behind `login_required` or a token)."""

    user: Any


class ListQuery(Schema):
    """The query parameters of every list."""

    limit: int = Field(50, ge=1, le=500, description="How many items at most")
    cursor: int | None = Field(None, ge=0, le=2**63 - 1, description="`next` of the page before")


class Page(Schema, Generic[T]):
    """One page of a list: `next` is the cursor of the page after, null on the last."""

    items: list[T]
    next: int | None


@dataclass(frozen=True)
class Slice(Generic[M]):
    """Rows of one page, newest first, and the cursor of the next."""

    items: list[M]
    next: int | None


def keyset(queryset: QuerySet[M], cursor: int | None, limit: int) -> Slice[M]:
    """Cut one page out of `queryset`, newest first, by primary key: its cost does not grow with its position."""
    if cursor is not None:
        queryset = queryset.filter(pk__lt=cursor)
    rows = list(queryset.order_by("-pk")[: limit + 1])
    more = len(rows) > limit
    return Slice(rows[:limit], rows[limit - 1].pk if more else None)


def page_of(rows: Slice[M], to_schema: Callable[[M], Any]) -> dict[str, Any]:
    """A `Slice` as the JSON answer of a list."""
    return {"items": [to_schema(row) for row in rows.items], "next": rows.next}
