"""`/inbound` of the JSON API."""

from datetime import datetime
from typing import Any

from ninja import Field, Query, Router, Schema

from campaigns.messages.incoming import readable
from campaigns.models import IncomingMessage
from directory.schemas import NormalisedPhone
from project.http.body import AwareMoment, Error
from project.http.client import UserRequest
from project.http.paging import ListQuery, Page, keyset, page_of

router = Router(tags=["messages"])


class IncomingQuery(ListQuery):
    """Filters of the list. All given filters must match."""

    phone: NormalisedPhone | None = Field(None, description="Phone that sent them, as people write it")
    since: AwareMoment | None = Field(None, description="Received at this time or later")


class IncomingOut(Schema):
    """A message from a phone."""

    id: int
    gateway: str = Field(description="The gateway that received it")
    phone: str | None = Field(description="The phone that sent it; null: the sender is no phone")
    sender: str = Field(description="The sender as the gateway has it")
    contact: int | None = Field(description="Id of the contact that had this phone when it came; null: none")
    recipient: str = Field(description="The number or name to which it was sent; may be empty")
    text: str | None = Field(
        description="Null unless you are an administrator or have sent a message to this contact or phone"
    )
    sent_at: datetime | None = Field(description="When it was sent; null: the gateway does not say")
    received_at: datetime = Field(description="When Vestnik got it")
    action: str = Field(
        description="What its keyword asks for: `stop`, `start` or `help`; empty: it is none, or is not processed yet"
    )


@router.get("", response={200: Page[IncomingOut], frozenset({401, 422}): Error}, summary="List incoming messages")
def list_incoming(request: UserRequest, query: Query[IncomingQuery]) -> dict[str, Any]:
    """The messages that phones have sent, newest first."""
    found = IncomingMessage.objects.all()
    if query.phone is not None:
        found = found.filter(phone=int(query.phone))
    if query.since is not None:
        found = found.filter(received_at__gte=query.since)
    page = keyset(found, query.cursor, query.limit)
    shown = readable(page.items, request.user)
    return page_of(page, lambda row: _out(row, with_text=row.pk in shown))


def _out(row: IncomingMessage, *, with_text: bool) -> dict[str, Any]:
    plain = ("id", "gateway", "sender", "recipient", "sent_at", "received_at", "action")
    return {
        **{name: getattr(row, name) for name in plain},
        "phone": None if row.phone is None else str(row.phone),
        "contact": row.contact_id,
        "text": row.text if with_text else None,
    }
