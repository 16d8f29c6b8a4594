"""`/suppressions` of the JSON API."""

import re
from datetime import datetime
from typing import Annotated, Any, Final

from django.core.exceptions import ValidationError
from django.http import Http404
from django.shortcuts import get_object_or_404
from ninja import Field, Path, Query, Router, Schema, Status

from accounts.api_access.idempotency import idempotent
from directory import phones
from directory.models import Source, Suppression
from directory.schemas import NormalisedPhone, Phone
from directory.suppression.services import NEWEST_FIRST, release, suppress, suppressions
from project.http.body import Body, Error, Line
from project.http.client import UserRequest
from project.http.paging import SortedPage, SortedQuery, sorted_page

router = Router(tags=["suppressions"])

MAX_PHONES: Final = 10_000

Reason = Annotated[Line, Field(max_length=200, description="Why, in your own words")]


class SuppressionQuery(SortedQuery):
    """Filters of the list. All given filters must match."""

    q: Line | None = Field(None, max_length=100, description="Part of a phone")
    source: Source | None = Field(None, description="How it came onto the list")


class SuppressionIn(Body):
    """A phone that must never receive campaign messages."""

    phone: NormalisedPhone
    reason: Reason = ""


class SuppressionsIn(Body):
    """Many phones at once. Each is validated separately."""

    phones: list[Phone] = Field(max_length=MAX_PHONES, description="As people write them, up to 10 000")
    reason: Reason = ""


class SuppressionOut(Schema):
    """A phone on the list."""

    phone: str = Field(examples=["79991234567"])
    reason: str = Field(description="Why, in the words of the user who added it; may be empty")
    source: Source = Field(description="How it came onto the list")
    by: int | None = Field(description="Id of the user who added it; null: nobody, or erased")
    created_at: datetime = Field(description="Since when it is on the list")


class RejectedPhone(Schema):
    """A phone that is none; `index` is its position in the list, from 0."""

    index: int
    phone: str = Field(description="As given")
    error: str = Field(description="Why it was not added")


class SuppressionsOut(Schema):
    """The result. A phone that is given twice counts once."""

    added: int = Field(description="Number of phones that are new on the list")
    known: int = Field(description="Number of phones that were on the list already")
    rejected: list[RejectedPhone] = Field(description="Phones that were not added, with reasons")


def suppression_out(row: Suppression) -> dict[str, Any]:
    """Return the values of `SuppressionOut`. The phone is text, because it is not a quantity."""
    values = {name: getattr(row, name) for name in ("reason", "source", "created_at")}
    return {**values, "phone": str(row.phone), "by": row.by_id}


@router.get(
    "", response={200: SortedPage[SuppressionOut], frozenset({401, 422}): Error}, summary="List opted-out phones"
)
def list_suppressions(request: UserRequest, query: Query[SuppressionQuery]) -> Any:
    """The phones that never receive campaign messages, newest first."""
    page = sorted_page(suppressions(q=query.q or "", source=query.source or ""), NEWEST_FIRST, query)
    return {"items": [suppression_out(row) for row in page.items], "next": page.next}


@router.post(
    "",
    response={frozenset({200, 201}): SuppressionOut, frozenset({400, 401, 422}): Error},
    summary="Add a phone to the opt-out list",
)
@idempotent
def create_suppression(request: UserRequest, body: SuppressionIn) -> Any:
    """Every user may. The contact with this phone, if there is one, is opted out, even if another user added it.

    200, with the earlier entry, if the phone is on the list already.
    """
    added = suppress([int(body.phone)], by=request.user, source=Source.API, reason=body.reason)
    return Status(201 if added else 200, suppression_out(Suppression.objects.get(phone=body.phone)))


@router.post(
    "/bulk",
    response={200: SuppressionsOut, frozenset({400, 401, 422}): Error},
    summary="Add many phones to the opt-out list",
)
@idempotent
def create_suppressions(request: UserRequest, body: SuppressionsIn) -> Any:
    """What can't be read as a phone is listed in `rejected`; the others are added."""
    numbers, rejected = set(), []
    for index, phone in enumerate(body.phones):
        try:
            numbers.add(phones.normalise(phone))
        except ValidationError as error:
            rejected.append({"index": index, "phone": phone, "error": " ".join(error.messages)})
    added = suppress(numbers, by=request.user, source=Source.API, reason=body.reason)
    return {"added": added, "known": len(numbers) - added, "rejected": rejected}


@router.delete(
    "/{phone}",
    response={204: None, frozenset({401, 403, 404, 422}): Error},
    summary="Remove a phone from the opt-out list",
)
def delete_suppression(
    request: UserRequest, phone: Annotated[str, Path(max_length=40, description="As people write it")]
) -> Any:
    """Only the user who added it and administrators may, after the person has agreed to receive messages again.

    The contact with this phone, if there is one, is opted in.
    """
    release(_listed_phone(phone), by=request.user)
    return Status(204, None)


def _listed_phone(text: str) -> int:
    """Return the phone as the list has it, or else as people write it. Http404 if it is not on the list."""
    if re.fullmatch("[0-9]{1,15}", text, re.ASCII) and Suppression.objects.filter(phone=int(text)).exists():
        return int(text)
    try:
        return get_object_or_404(Suppression, phone=phones.normalise(text)).phone
    except ValidationError as error:
        raise Http404 from error
