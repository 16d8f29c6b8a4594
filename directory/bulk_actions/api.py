"""`/contacts/bulk-actions` of the JSON API."""

from datetime import datetime
from typing import Annotated, Final, Literal

from django.shortcuts import get_object_or_404
from ninja import Field, Path, Router, Schema, Status
from pydantic import model_validator

from accounts.api_access.idempotency import idempotent
from accounts.policies import check_may_change
from directory.bulk_actions.work import bulk_start
from directory.models import BulkAction, BulkActionType
from directory.schemas import CountryCode, NormalisedPhone, OperatorCode, Zone
from project.http.body import AwareMoment, Body, Error, Flag, Line
from project.http.client import UserRequest

router = Router(tags=["contacts"])

MAX_IDS: Final = 10_000

Id = Annotated[int, Field(ge=1, le=2**63 - 1)]


class ContactFilter(Body):
    """The filters of the list of contacts. All given ones must match, so an empty object selects everyone."""

    phone: NormalisedPhone | None = None
    operator_code: OperatorCode | None = None
    country: CountryCode | None = None
    tags: list[Annotated[Line, Field(min_length=1, max_length=50)]] = Field(
        default_factory=list, max_length=50, description="One of them suffices; their case does not matter"
    )
    timezone: Zone | None = None
    q: Line | None = Field(None, max_length=100, description="Words of the name, digits of the phone")
    owner: Id | None = Field(None, description="Id of the user who added the contacts")
    is_active: Flag | None = None
    opted_out: Flag | None = None
    added_from: AwareMoment | None = Field(None, description="Added at this time or later")
    added_before: AwareMoment | None = Field(None, description="Added before this time")


class BulkActionIn(Body):
    """An action, and its contacts: either `ids` or `filter`."""

    action: Literal["tag", "untag", "deactivate", "reactivate"] = Field(description="What to do with the contacts")
    tag: Line = Field("", max_length=50, description="The tag to add or remove; only for these two actions")
    ids: list[Id] | None = Field(None, max_length=MAX_IDS, description="Ids of contacts, up to 10 000")
    filter: ContactFilter | None = Field(None, description="Selects contacts; an empty object selects everyone")

    @model_validator(mode="after")
    def _has_contacts(self) -> "BulkActionIn":
        if (self.ids is None) == (self.filter is None):
            raise ValueError("Give either ids or filter.")
        if self.tag and self.action not in (BulkActionType.TAG, BulkActionType.UNTAG):
            raise ValueError("This action takes no tag.")
        return self


class BulkActionOut(Schema):
    """An action on many contacts, and its progress. `changed`, `unchanged` and `refused` add up to `done`."""

    id: int
    action: str = Field(alias="kind", description="What is done", examples=["tag"])
    tag: str = Field(description="The tag that is added or removed; may be empty")
    total: int = Field(description="Number of contacts when it started")
    done: int = Field(description="Number of processed contacts")
    changed: int = Field(description="Number of changed contacts")
    unchanged: int = Field(description="Number of contacts that needed no change")
    refused: int = Field(description="Number of contacts that the user may not change, or that have too many tags")
    owner: int = Field(alias="owner_id", description="Id of the user who started it")
    created_at: datetime = Field(description="When it started")
    finished_at: datetime | None


@router.post(
    "",
    response={201: BulkActionOut, frozenset({400, 401, 422}): Error},
    summary="Change many contacts",
)
@idempotent
def create_bulk_action(request: UserRequest, body: BulkActionIn) -> Status[BulkAction]:
    """Up to 2 000 contacts are done in the answer; above that it continues in the background.

    Contacts that the user may not change are skipped and counted.
    """
    filters = body.filter.dict(exclude_unset=True) if body.filter else {}
    kind = BulkActionType(body.action)
    return Status(201, bulk_start(by=request.user, kind=kind, tag=body.tag, ids=body.ids, filters=filters))


@router.get(
    "/{action_id}",
    response={200: BulkActionOut, frozenset({401, 403, 404, 422}): Error},
    summary="Show the progress of a change of many contacts",
)
def show_bulk_action(request: UserRequest, action_id: Annotated[int, Path(ge=1, le=2**63 - 1)]) -> BulkAction:
    """For the user who started it and administrators. Merged and deleted tags are such actions, too."""
    action = get_object_or_404(BulkAction, pk=action_id)
    check_may_change(request.user, action)
    return action
