"""`/webhooks` of the JSON API."""

from datetime import datetime
from typing import Annotated, Any

from django.shortcuts import get_object_or_404
from ninja import Field, Path, Query, Router, Schema, Status

from accounts.idempotency import idempotent
from accounts.webhooks.models import EventType, Webhook
from accounts.webhooks.services import webhook_create, webhook_delete
from project.http import Body, Error, Line, ListQuery, Page, Signed, keyset, page_of

webhooks = Router(tags=["webhooks"])

WebhookId = Annotated[int, Path(ge=1, le=2**63 - 1)]


class WebhookIn(Body):
    """Where to, and what about."""

    url: Line = Field(
        min_length=1,
        max_length=2000,
        description="https:// and public; redirects are not followed",
        examples=["https://example.org/vestnik"],
    )
    events: list[EventType] = Field(
        default_factory=lambda: list(EventType),
        min_length=1,
        max_length=50,
        description="What it is told of; everything by default",
        examples=[["message.sent", "message.failed", "campaign.finished"]],
    )


class WebhookOut(Schema):
    """A webhook."""

    id: int
    url: str
    events: list[EventType]
    failures: int = Field(description="Failed attempts in a row")
    disabled_at: datetime | None = Field(description="Set when nothing was taken for a day; then nothing more is sent")
    created_at: datetime


class NewWebhook(WebhookOut):
    """A webhook with its secret, shown this once."""

    secret: str = Field(description="Verify signatures with it", examples=["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"])


@webhooks.get("", response={200: Page[WebhookOut]}, summary="List your webhooks")
def list_webhooks(request: Signed, query: Query[ListQuery]) -> dict[str, Any]:
    """Newest first."""
    return page_of(keyset(Webhook.objects.filter(owner=request.user), query.cursor, query.limit), WebhookOut.from_orm)


@webhooks.post("", response={201: NewWebhook, 409: Error}, summary="Add a webhook")
@idempotent
def create_webhook(request: Signed, body: WebhookIn) -> Status[Webhook]:
    """Events are posted there as `{"type": "batch", "timestamp": …, "data": [event, …]}`, up to 1 000 at once.

    Each event is `{"type", "timestamp", "data"}`. Requests are signed by the Standard Webhooks scheme
    (`webhook-id`, `webhook-timestamp`, `webhook-signature`). Answer 2xx within 10 seconds; else it is repeated for a
    day with the same `webhook-id`, and then the webhook is disabled.
    """
    return Status(201, webhook_create(owner=request.user, url=body.url, events=body.events))


@webhooks.delete("/{webhook_id}", response={204: None, 404: Error}, summary="Delete a webhook")
def delete_webhook(request: Signed, webhook_id: WebhookId) -> Status[None]:
    """It is told nothing more, and the log of its deliveries goes with it."""
    webhook_delete(webhook=get_object_or_404(Webhook, pk=webhook_id), by=request.user)
    return Status(204, None)
