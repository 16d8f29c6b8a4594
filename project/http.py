"""What pages and API share over HTTP: errors, request bodies, and keyset pages."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from ipaddress import ip_address
from typing import Annotated, Any, Generic, TypeVar

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django_htmx.middleware import HtmxDetails
from ninja import Field, Schema
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, ConfigDict, Strict, StringConstraints

T = TypeVar("T")
M = TypeVar("M", bound=Model)


class Conflict(Exception):
    """The object's present state, or another object, forbids the action (HTTP 409)."""


class TooManyRequests(Exception):
    """The caller has used up a rate limit and may try again in `retry_after` seconds (HTTP 429)."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("Too many requests.")
        self.retry_after = retry_after


class Invalid(Exception):
    """A part of the request that no schema knows is wrong (HTTP 422); `place` as in a schema's errors."""

    def __init__(self, place: list[str], reason: str) -> None:
        super().__init__(reason)
        self.place = place


class Signed(HttpRequest):
    """A request whose user is known to be signed in (behind `login_required` or a token, which is then `auth`)."""

    user: Any
    auth: Any
    htmx: HtmxDetails


@contextmanager
def refusal_shown(request: HttpRequest) -> Iterator[None]:
    """Around what a button of a page does: where the rules refuse it, the reader is told why on the next page."""
    try:
        yield
    except Conflict as error:
        messages.error(request, str(error))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))


def client_address(request: HttpRequest) -> str:
    """The address that a request comes from: the caller's, or what the outermost of our own proxies has seen.

    Anybody can write X-Forwarded-For: of its entries the last `TRUSTED_PROXIES` are our proxies' word. A caller on a
    socket of the system, who has no address, is this host.
    """
    seen = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",")]
    proxies = settings.TRUSTED_PROXIES
    for address in (seen[-proxies] if 0 < proxies <= len(seen) else "", request.META.get("REMOTE_ADDR", "")):
        try:
            return str(ip_address(address))
        except ValueError:
            continue
    return "127.0.0.1"


def _storable(text: str) -> str:
    """PostgreSQL keeps no NUL character, and nothing keeps half of a surrogate pair."""
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("NUL characters and lone surrogates are not allowed.")
    return text


Text = Annotated[str, AfterValidator(_storable)]
Line = Annotated[Text, StringConstraints(strip_whitespace=True)]


def _within_calendars(value: datetime) -> datetime:
    """Years that no calendar arithmetic survives are refused."""
    if not 2000 <= value.year <= 2100:
        raise ValueError("The year must lie between 2000 and 2100.")
    return value


def _written(value: Any) -> Any:
    """A time is written as text: as a number nobody could tell its unit."""
    if not isinstance(value, str | datetime):
        raise ValueError("A time as text, like 2026-11-24T10:00:00+03:00.")  # noqa: TRY004 - pydantic knows this one only
    return value


Moment = Annotated[datetime, BeforeValidator(_written), AfterValidator(_within_calendars)]
AwareMoment = Annotated[AwareDatetime, BeforeValidator(_written), AfterValidator(_within_calendars)]
Flag = Annotated[bool, Strict()]


V = TypeVar("V", bound=Callable[..., Any])


def any_query(view: V) -> V:
    """Mark a call of the API that takes query parameters which it does not know."""
    view.any_query = True  # type: ignore[attr-defined]
    return view


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


class JsonErrorsMiddleware:
    """Under `/api/` every error is JSON, also one that Django finds before or after the API does (405, a bad host).

    And every 401 names the scheme that would be taken, as HTTP wants it.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code < 400 or not request.path.startswith("/api/"):
            return response
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            response.headers["WWW-Authenticate"] = "Bearer"
        if response.headers.get("Content-Type", "").startswith("application/json"):
            return response
        response.content = json.dumps({"detail": f"{HTTPStatus(response.status_code).phrase}."})
        response.headers["Content-Type"] = "application/json"
        response.headers["Content-Length"] = str(len(response.content))
        return response


class NoPageMiddleware:
    """Say so where a page is asked for and the address belongs to a button: Django's own answer is empty."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code == HTTPStatus.METHOD_NOT_ALLOWED and not request.path.startswith("/api/"):
            response.content = render_to_string("405.html", request=request).encode()
        return response
