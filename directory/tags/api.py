"""`/tags` of the JSON API."""

from typing import Annotated, Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from ninja import Field, Path, Query, Router, Schema, Status

from accounts.api_access.idempotency import idempotent
from accounts.optimistic_locking import IfMatch, Version, expected, version_of, with_etag
from directory.bulk_actions.api import BulkActionOut
from directory.models import BulkAction, Tag, Tone
from directory.tags.names import tag_name
from directory.tags.removal import tag_delete, tag_merge
from directory.tags.services import tag_create, tag_update, tags_with_counts
from project.http.body import Body, Error, Line
from project.http.client import UserRequest
from project.http.lists import contains_words
from project.http.paging import ListQuery, Page, keyset, page_of

router = Router(tags=["tags"])

TagName = Annotated[str, Path(max_length=200, description="The tag's name, URL-encoded; its case does not matter")]
Name = Annotated[Line, Field(max_length=200, description="At most 50 characters without commas, kept in lower case")]
TONE: Any = Field(default_factory=lambda: Tone.PLAIN, description="Its colour on pages; empty: none")


class TagQuery(ListQuery):
    """The filter of the list."""

    q: Line | None = Field(None, max_length=100, description="Words of the name")


class TagIn(Body):
    """A new tag."""

    name: Name
    tone: Tone = TONE


class TagPatch(Body):
    """Changes; an omitted field keeps its value."""

    name: Name = Field(default_factory=str)
    tone: Tone = TONE
    version: Version = Field(default_factory=str)


class MergeIn(Body):
    """The tag that takes the contacts."""

    into: Line = Field(max_length=200, description="Name of the tag that stays")


class TagOut(Schema):
    """A tag."""

    name: str = Field(examples=["vip"])
    tone: Tone = Field(description="Its colour on pages; empty: none")
    contacts: int = Field(description="Number of contacts that have it")
    version: str = Field(description="Changes with what can be edited; see `If-Match`")


def _tag_out(tag: Any) -> dict[str, Any]:
    """Return the values of `TagOut` for a tag of `tags_with_counts`."""
    return {"name": tag.name, "tone": tag.tone, "contacts": tag.number, "version": version_of(tag)}


def _found(tags: QuerySet[Tag], name: str) -> Tag:
    """Return the tag with this name; Http404 if there is none. NUL can't be compared."""
    return get_object_or_404(tags, name=tag_name(name.replace("\0", " ")))


@router.get("", response={200: Page[TagOut], frozenset({401, 422}): Error}, summary="List tags")
def list_tags(request: UserRequest, query: Query[TagQuery]) -> dict[str, Any]:
    """All tags with their numbers of contacts, newest first."""
    matching = tags_with_counts().filter(contains_words(query.q or "", "name"))
    return page_of(keyset(matching, query.cursor, query.limit), _tag_out)


@router.post("", response={201: TagOut, frozenset({400, 401, 409, 422}): Error}, summary="Add a tag")
@idempotent
def create_tag(request: UserRequest, body: TagIn) -> Any:
    """Contacts with a new tag add it by themselves; this call is for its colour. 409 if the tag exists."""
    tag = tag_create(name=body.name, tone=body.tone)
    return Status(201, _tag_out(_found(tags_with_counts(), tag.name)))


# Names may have slashes, which a proxy or Django decodes before the path is read.
@router.post(
    "/{path:tag}/merge",
    response={frozenset({200, 202}): BulkActionOut, frozenset({400, 401, 403, 404, 409, 422}): Error},
    summary="Merge a tag into another",
)
@idempotent
def merge_tag(request: UserRequest, tag: TagName, body: MergeIn) -> Any:
    """Its contacts get the other tag, audiences and unfinished campaigns follow, and the tag is deleted.

    For users who may change all its contacts. 202 if that takes longer: `GET /contacts/bulk-actions/{id}` has the
    progress.
    """
    row, into = _found(Tag.objects.all(), tag), Tag.objects.filter(name=tag_name(body.into)).first()
    if into is None or into == row:
        raise ValidationError({"into": _("Enter the name of another tag.")})
    return _started(tag_merge(tag=row, into=into, by=request.user))


@router.patch(
    "/{path:tag}",
    response={200: TagOut, frozenset({400, 401, 403, 404, 409, 412, 422}): Error},
    summary="Change a tag",
)
def change_tag(
    request: UserRequest, response: HttpResponse, tag: TagName, body: TagPatch, if_match: IfMatch = None
) -> Any:
    """Audiences and campaigns follow a new name. For users who may change all its contacts.

    409 if a tag of that name exists: merge them instead.
    """
    changes = body.dict(exclude_unset=True)
    version = expected(if_match, changes.pop("version", None))
    with transaction.atomic():
        row = _found(Tag.objects.select_for_update(), tag)
        values = {"name": row.name, "tone": row.tone, **changes}
        updated = with_etag(response, tag_update(tag=row, by=request.user, version=version, **values))
        return _tag_out(_found(tags_with_counts(), updated.name))


@router.delete(
    "/{path:tag}",
    response={204: None, 202: BulkActionOut, frozenset({401, 403, 404, 422}): Error},
    summary="Delete a tag",
)
def delete_tag(request: UserRequest, tag: TagName) -> Any:
    """It is removed from all its contacts. For users who may change all of these. 202 as for a merge."""
    action = tag_delete(tag=_found(Tag.objects.all(), tag), by=request.user)
    return Status(204, None) if action.finished_at else Status(202, action)


def _started(action: BulkAction) -> Status[BulkAction]:
    return Status(200 if action.finished_at else 202, action)
