"""`/audiences` of the JSON API."""

from datetime import datetime
from typing import Annotated, Any

from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from ninja import Field, Path, Query, Router, Schema, Status

from accounts.api_access.idempotency import idempotent
from accounts.api_access.tokens import TokenAuth
from accounts.models import Scope
from accounts.optimistic_locking import IfMatch, Version, expected, version_of, with_etag
from directory.audiences.schemas import AudienceIn, AudienceOut, AudiencePatch
from directory.audiences.services import audience_delete, audience_distribution, audience_save
from directory.models import SavedAudience
from project.http.body import Body, Error, Line
from project.http.client import UserRequest
from project.http.lists import contains_words
from project.http.paging import ListQuery, Page, keyset, page_of

router = Router(tags=["audiences"])

AudienceId = Annotated[int, Path(ge=1, le=2**63 - 1)]
Name = Annotated[Line, Field(min_length=1, max_length=100, description="Unique")]


class AudienceQuery(ListQuery):
    """The filter of the list."""

    q: Line | None = Field(None, max_length=100, description="Words of the name")


class SavedAudienceIn(Body):
    """A new saved audience."""

    name: Name
    audience: AudienceIn


class SavedAudiencePatch(Body):
    """Changes; an omitted field keeps its value. Given filters of the audience are replaced, the others stay."""

    name: Name = Field(default_factory=str)
    audience: AudiencePatch = Field(default_factory=AudiencePatch)
    version: Version = Field(default_factory=str)


class SavedAudienceOut(Schema):
    """An audience with a name. A campaign takes its filter with `"audience": {"saved": id}`."""

    id: int
    name: str
    audience: AudienceOut = Field(alias="audience_filter")
    owner: int = Field(alias="owner_id", description="Id of the user who saved it")
    created_at: datetime
    updated_at: datetime
    version: str = Field(description="Changes with what can be edited; see `If-Match`")

    @staticmethod
    def resolve_audience_filter(row: SavedAudience) -> dict[str, Any]:
        """Return the filter as JSON."""
        return row.audience_filter.to_json()

    @staticmethod
    def resolve_version(row: SavedAudience) -> str:
        """Compute the version; it is not a column."""
        return version_of(row)


class AudienceCount(Schema):
    """How many contacts an audience selects. Each breakdown adds up to `recipients`."""

    recipients: int = Field(description="Number of contacts that a campaign would write to")
    opted_out: int = Field(description="Number of matching contacts that opted out; the count stops at 10 001")
    countries: dict[str, int] = Field(description="Recipients by ISO 3166 code")
    operator_codes: dict[str, int] = Field(description="Recipients by operator code")
    timezones: dict[str, int] = Field(description="Recipients by IANA name")


@router.get("", response={200: Page[SavedAudienceOut], frozenset({401, 422}): Error}, summary="List saved audiences")
def list_audiences(request: UserRequest, query: Query[AudienceQuery]) -> dict[str, Any]:
    """All users' saved audiences, newest first."""
    matching = SavedAudience.objects.filter(contains_words(query.q or "", "name"))
    return page_of(keyset(matching, query.cursor, query.limit), lambda row: row)


@router.post("", response={201: SavedAudienceOut, frozenset({400, 401, 409, 422}): Error}, summary="Save an audience")
@idempotent
def create_audience(request: UserRequest, body: SavedAudienceIn) -> Status[SavedAudience]:
    """409 if the name is taken."""
    return Status(201, audience_save(by=request.user, name=body.name, audience=body.audience.value()))


@router.post(
    "/count",
    response={200: AudienceCount, frozenset({400, 401, 422}): Error},
    summary="Count an audience",
    auth=TokenAuth(Scope.READ),
)
def count_audience(request: UserRequest, body: AudienceIn) -> dict[str, Any]:
    """How many contacts an audience selects, in total, by country, operator code and time zone. Nothing is stored."""
    found = audience_distribution(body.value())
    return {
        "recipients": found.number,
        "opted_out": found.opted_out,
        "countries": dict(found.countries),
        "operator_codes": dict(found.operators),
        "timezones": dict(found.zones),
    }


@router.get(
    "/{audience_id}",
    response={200: SavedAudienceOut, frozenset({401, 404, 422}): Error},
    summary="Show a saved audience",
)
def show_audience(request: UserRequest, response: HttpResponse, audience_id: AudienceId) -> SavedAudience:
    """One saved audience of any user."""
    return with_etag(response, get_object_or_404(SavedAudience, pk=audience_id))


@router.patch(
    "/{audience_id}",
    response={200: SavedAudienceOut, frozenset({400, 401, 403, 404, 409, 412, 422}): Error},
    summary="Change a saved audience",
)
def change_audience(
    request: UserRequest,
    response: HttpResponse,
    audience_id: AudienceId,
    body: SavedAudiencePatch,
    if_match: IfMatch = None,
) -> SavedAudience:
    """Only the user who saved it and administrators may. Campaigns that were made from it do not change."""
    with transaction.atomic():
        row = get_object_or_404(SavedAudience.objects.select_for_update(), pk=audience_id)
        changes = body.audience.changes() if "audience" in body.model_fields_set else {}
        saved = audience_save(
            by=request.user,
            name=body.name or row.name,
            audience=row.audience_filter.with_filters(changes),
            saved=row,
            version=expected(if_match, body.version),
        )
    return with_etag(response, saved)


@router.delete(
    "/{audience_id}",
    response={204: None, frozenset({401, 403, 404, 422}): Error},
    summary="Delete a saved audience",
)
def delete_audience(request: UserRequest, audience_id: AudienceId) -> Status[None]:
    """Only the user who saved it and administrators may. Campaigns that were made from it do not change."""
    audience_delete(by=request.user, saved=get_object_or_404(SavedAudience, pk=audience_id))
    return Status(204, None)
