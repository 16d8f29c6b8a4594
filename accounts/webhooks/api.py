"""`/webhooks` of the JSON API."""

from datetime import datetime
from typing import Annotated, Any

from django.shortcuts import get_object_or_404
from ninja import Field, Path, Query, Router, Schema, Status

from accounts.api_access.idempotency import idempotent_with_secret
from accounts.webhooks.models import EventType, Webhook
from accounts.webhooks.services import webhook_create, webhook_delete
from project.http.body import Body, Error, Line
from project.http.client import UserRequest
from project.http.paging import ListQuery, Page, keyset, page_of

webhooks = Router(tags=["webhooks"])

WebhookId = Annotated[int, Path(ge=1, le=2**63 - 1)]


class WebhookIn(Body):
    """Address and events of a webhook."""

    url: Line = Field(
        min_length=1,
        max_length=2000,
        description="A public https:// address; redirects are not followed",
        examples=["https://example.org/vestnik"],
    )
    events: list[EventType] = Field(
        default_factory=lambda: list(EventType),
        min_length=1,
        max_length=50,
        description="Events to send; all by default",
        examples=[["message.sent", "message.failed", "campaign.finished"]],
    )


class WebhookOut(Schema):
    """A webhook."""

    id: int
    url: str
    events: list[EventType]
    failures: int = Field(description="Failed attempts in a row")
    disabled_at: datetime | None = Field(
        description="Nothing is sent since then: a day of failures, or a closed account"
    )
    created_at: datetime


class NewWebhook(WebhookOut):
    """A webhook with its secret, which is shown only once."""

    secret: str = Field(description="Verify signatures with it", examples=["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"])


@webhooks.get("", response={200: Page[WebhookOut]}, summary="List your webhooks")
def list_webhooks(request: UserRequest, query: Query[ListQuery]) -> dict[str, Any]:
    """Newest first."""
    return page_of(keyset(Webhook.objects.filter(owner=request.user), query.cursor, query.limit), WebhookOut.from_orm)


@webhooks.post("", response={201: NewWebhook, 409: Error}, summary="Add a webhook")
@idempotent_with_secret
def create_webhook(request: UserRequest, body: WebhookIn) -> Status[Webhook]:
    """Events are posted as `{"type": "batch", "timestamp": …, "data": [event, …]}`, up to 1 000 at once.

    Each event is `{"type", "timestamp", "data"}`. Requests are signed by the Standard Webhooks scheme
    (`webhook-id`, `webhook-timestamp`, `webhook-signature`). Answer 2xx within 10 seconds. Otherwise the request is
    repeated for a day with the same `webhook-id`; then the webhook is disabled.
    """
    return Status(201, webhook_create(owner=request.user, url=body.url, events=body.events))


@webhooks.delete("/{webhook_id}", response={204: None, 404: Error}, summary="Delete a webhook")
def delete_webhook(request: UserRequest, webhook_id: WebhookId) -> Status[None]:
    """No more events are sent to it, and the log of its deliveries is deleted."""
    webhook_delete(webhook=get_object_or_404(Webhook, pk=webhook_id), by=request.user)
    return Status(204, None)
