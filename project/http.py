"""What pages and API share over HTTP: errors, request bodies, and keyset pages."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails
from ninja import Field, Schema
from pydantic import AfterValidator, ConfigDict, StringConstraints

T = TypeVar("T")
M = TypeVar("M", bound=Model)


class Conflict(Exception):
    """The object's present state, or another object, forbids the action (HTTP 409)."""


class TooManyRequests(Exception):
    """The caller has used up a rate limit and may try again in `retry_after` seconds (HTTP 429)."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("Too many requests.")
        self.retry_after = retry_after


class Signed(HttpRequest):
    """A request whose user is known to be signed in (behind `login_required` or a token)."""

    user: Any
    htmx: HtmxDetails


def _storable(text: str) -> str:
    """PostgreSQL keeps no NUL character, and nothing keeps half of a surrogate pair."""
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("NUL characters and lone surrogates are not allowed.")
    return text


Text = Annotated[str, AfterValidator(_storable)]
Line = Annotated[Text, StringConstraints(strip_whitespace=True)]


class Body(Schema):
    """A request's JSON; a field that nobody knows is refused, since it is likely a misspelt one."""

    model_config = ConfigDict(extra="forbid")


class Error(Schema):
    """Every answer of 400 and above: a sentence, or for 422 a list with the place of each invalid field."""

    detail: str | list[dict[str, Any]]


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
