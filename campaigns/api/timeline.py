"""`/contacts/{id}/timeline` of the JSON API."""

import re
from datetime import UTC, datetime
from typing import Any, Final

from auditlog.models import LogEntry
from django.shortcuts import get_object_or_404
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from ninja import Field, Query, Router, Schema

from accounts.audit_api import entry_out
from campaigns.messages.timeline import Item, Kind, Position, readable_items, timeline
from directory.api import ContactId
from directory.models import Contact
from project.http.body import Error
from project.http.client import UserRequest
from project.http.errors import Invalid
from project.http.paging import SortedPage, SortedQuery

router = Router(tags=["contacts"])

_CURSOR: Final = re.compile(r"(\S{1,40}Z),([0-9]),([0-9]{1,19})", re.ASCII)


class TimelineMessage(Schema):
    """A message to the contact."""

    id: int
    campaign: int | None = Field(description="Id of its campaign; null: a transactional message")
    status: str
    reason: str = Field(description="Code of the reason for the status; may be empty")
    text: str | None = Field(description="Null unless you have sent it or are an administrator")


class TimelineIncoming(Schema):
    """A message from the contact."""

    id: int
    gateway: str = Field(description="The gateway that received it")
    action: str = Field(description="What its keyword asks for: `stop`, `start` or `help`; may be empty")
    text: str | None = Field(description="Null unless you have written to the contact or are an administrator")


class TimelineItem(Schema):
    """Something that happened with the contact."""

    at: datetime = Field(description="When it happened; of a message, when it ended or changed last")
    kind: Kind = Field(
        description="`message` (has `message`), `incoming` (has `incoming`), `opted_out`, `opted_in`, "
        "`changed` (has `changes`), `added`"
    )
    by: int | None = Field(None, description="Id of the user who did it; null: the program, or the contact")
    message: TimelineMessage | None = Field(None, description="Of `message`")
    incoming: TimelineIncoming | None = Field(None, description="Of `incoming`")
    changes: dict[str, dict[str, Any]] | None = Field(None, description="As in `GET /audit`")
    import_id: int | None = Field(None, description="The import that added the contact")


@router.get(
    "/{contact_id}/timeline",
    response={200: SortedPage[TimelineItem], frozenset({401, 404, 422}): Error},
    summary="Show what happened with a contact",
)
def show_timeline(request: UserRequest, contact_id: ContactId, query: Query[SortedQuery]) -> dict[str, Any]:
    """Messages, incoming messages, opt-outs and opt-ins, changes, and how the contact was added, newest first."""
    contact = get_object_or_404(Contact, pk=contact_id)
    found = timeline(contact, _position(query.cursor), query.limit + 1)
    items = found[: query.limit]
    shown = readable_items(items, request.user)
    return {
        "items": [_out(item, contact, with_text=item.position in shown) for item in items],
        "next": _cursor(items[-1].position) if len(found) > len(items) else None,
    }


def _out(item: Item, contact: Contact, *, with_text: bool) -> dict[str, Any]:
    values: dict[str, Any] = {"at": item.position.at, "kind": item.kind}
    if item.kind == Kind.ADDED:
        return {**values, "by": contact.owner_id, "import_id": item.row}
    if item.kind == Kind.MESSAGE:
        return {**values, **_message(item.row, with_text=with_text)}
    if item.kind == Kind.INCOMING:
        text = item.row.text if with_text else None
        return {**values, "incoming": {**_values(item.row, "gateway", "action"), "text": text}}
    entry: LogEntry = item.row
    changes = entry_out(entry)["changes"] if item.kind == Kind.CHANGED else None
    return {**values, "by": entry.actor_id, "changes": changes}


def _message(row: Any, *, with_text: bool) -> dict[str, Any]:
    campaign = row.planned_run and row.planned_run.campaign_id
    text = row.text if with_text else None
    values = {**_values(row, "status", "reason"), "campaign": campaign, "text": text}
    return {"by": row.run.campaign.owner_id, "message": values}


def _values(row: Any, *names: str) -> dict[str, Any]:
    return {"id": row.pk, **{name: getattr(row, name) for name in names}}


def _cursor(position: Position) -> str:
    return f"{position.at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ},{position.source},{position.pk}"


def _position(cursor: str | None) -> Position | None:
    """Return the position of a cursor. Raises Invalid if it is none."""
    if cursor is None:
        return None
    found = _CURSOR.fullmatch(cursor)
    try:
        at = found and parse_datetime(found[1])
    except ValueError:
        at = None
    if not found or at is None or int(found[3]) >= 2**63:
        raise Invalid(["query", "cursor"], _("This is not a cursor of this list."))
    return Position(at, int(found[2]), int(found[3]))
