"""`/campaigns` of the JSON API."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.http import HttpResponse
from django.utils.timezone import is_naive, make_aware
from ninja import Query, Router, Status

from accounts.api_access.idempotency import idempotent
from accounts.api_access.tokens import check_may_send
from accounts.optimistic_locking import IfMatch, expected, with_etag
from campaigns import services
from campaigns.api.message_schemas import MESSAGE_COLUMNS, MessageQuery, MessageState, MessageSummary, summary_of
from campaigns.api.schemas import (
    CampaignFields,
    CampaignIn,
    CampaignOut,
    CampaignPatch,
    CampaignStats,
    CampaignSummary,
    PreviewIn,
    PreviewOut,
    TestIn,
    UnknownIn,
)
from campaigns.api.shared import ERRORS, READS, SENDS, Id, own_campaign
from campaigns.gateways import registry
from campaigns.messages.unresolved import SENDING
from campaigns.models import Campaign, Message
from campaigns.placeholders import check_placeholders
from campaigns.planning.preview import campaign_preview
from campaigns.prices.estimate import NO_ESTIMATE, priced_audience
from campaigns.states import CampaignStatus, Resolution
from campaigns.statistics import campaign_statistics
from directory.audiences.audience import Audience
from directory.audiences.schemas import AudiencePatch
from project.http.body import Error
from project.http.client import UserRequest
from project.http.paging import ListQuery, Page, keyset, page_of

router = Router(tags=["campaigns"])


@router.get("", response={200: Page[CampaignSummary], frozenset({401, 422}): Error}, summary="List campaigns")
def list_campaigns(request: UserRequest, query: Query[ListQuery]) -> dict[str, Any]:
    """Summaries of all users' campaigns, newest first."""
    return page_of(keyset(Campaign.objects.visible(), query.cursor, query.limit), lambda row: row)


@router.post("", response={201: CampaignOut, frozenset({400, 401, 409, 422}): Error}, summary="Create a campaign")
@idempotent
def create_campaign(request: UserRequest, body: CampaignIn) -> Status[Campaign]:
    """It starts at `starts_at`, or at once if that has passed. Requires the scope `send`, except for a draft."""
    if body.status == "scheduled":
        check_may_send(request)
    fields = {"audience": Audience(), **_fields(request, body), "draft": body.status == "draft"}
    fields.pop("status", None)
    return Status(201, services.campaign_create(owner=request.user, **fields))


@router.post(
    "/preview", response={200: PreviewOut, frozenset({400, 401, 422}): Error}, summary="Preview a campaign", auth=READS
)
def preview_campaign(request: UserRequest, body: PreviewIn) -> Any:
    """The number of recipients and parts, sample texts, and what it costs. Nothing is stored."""
    fields = {"audience": Audience(), "gateway": None, "starts_at": None, **_fields(request, body)}
    audience, gateway = fields["audience"], fields["gateway"]
    check_placeholders(body.text, audience)
    found = campaign_preview(text=body.text, audience=audience)
    samples = [{**vars(sample), "phone": str(sample.phone)} for sample in found.samples]
    priced = priced_audience(audience, gateway and gateway.name, fields["starts_at"])
    estimate = priced.estimate(found.sizes[0].mean) if priced and found.sizes else NO_ESTIMATE
    return {
        **vars(found),
        "samples": samples,
        "cost": estimate.cost,
        "costs": [row._asdict() for row in estimate.rows],
        "unpriced": sum(estimate.unpriced.values()),
        "unreachable": sum(estimate.unreachable.values()),
    }


@router.get("/{campaign_id}", response={200: CampaignOut, ERRORS: Error}, summary="Show a campaign")
def show_campaign(request: UserRequest, response: HttpResponse, campaign_id: Id) -> Campaign:
    """One campaign, for its creator or an administrator."""
    return with_etag(response, own_campaign(request, campaign_id))


@router.patch(
    "/{campaign_id}", response={200: CampaignOut, ERRORS | {400, 409, 412}: Error}, summary="Change a campaign"
)
def change_campaign(
    request: UserRequest, response: HttpResponse, campaign_id: Id, body: CampaignPatch, if_match: IfMatch = None
) -> Campaign:
    """Change fields that the status allows; with `version` or `If-Match`, only if nobody else has changed it."""
    campaign, fields = own_campaign(request, campaign_id), _fields(request, body)
    status, version = fields.pop("status", None), expected(if_match, fields.pop("version", None))
    if status == CampaignStatus.SCHEDULED:
        check_may_send(request)
    with transaction.atomic():
        if fields or version:
            campaign = services.campaign_update(campaign=campaign, by=request.user, version=version, **fields)
        if status not in (None, campaign.status):
            go = services.campaign_launch if status == CampaignStatus.SCHEDULED else services.campaign_withdraw
            campaign = go(campaign=campaign, by=request.user)
    return with_etag(response, campaign)


@router.delete("/{campaign_id}", response={204: None, ERRORS: Error}, summary="Delete a campaign")
def delete_campaign(request: UserRequest, campaign_id: Id) -> Status[None]:
    """Cancel and hide a campaign. Its messages and figures stay."""
    services.campaign_delete(campaign=own_campaign(request, campaign_id), by=request.user)
    return Status(204, None)


@router.post("/{campaign_id}/pause", response={200: CampaignOut, ERRORS | {409}: Error}, summary="Pause a campaign")
def pause_campaign(request: UserRequest, campaign_id: Id) -> Campaign:
    """Send nothing until the campaign is resumed."""
    return services.campaign_pause(campaign=own_campaign(request, campaign_id), by=request.user)


@router.post(
    "/{campaign_id}/resume", response={200: CampaignOut, ERRORS | {409}: Error}, summary="Resume a campaign", auth=SENDS
)
def resume_campaign(request: UserRequest, campaign_id: Id) -> Campaign:
    """Continue a paused campaign."""
    return services.campaign_resume(campaign=own_campaign(request, campaign_id), by=request.user)


@router.post("/{campaign_id}/cancel", response={200: CampaignOut, ERRORS | {409}: Error}, summary="Cancel a campaign")
def cancel_campaign(request: UserRequest, campaign_id: Id) -> Campaign:
    """Stop a campaign permanently."""
    return services.campaign_cancel(campaign=own_campaign(request, campaign_id), by=request.user)


@router.post(
    "/{campaign_id}/retry-failed",
    response={200: CampaignOut, ERRORS | {409}: Error},
    summary="Retry failed messages",
    auth=SENDS,
)
def retry_failed(request: UserRequest, campaign_id: Id) -> Campaign:
    """Retry all failed messages, and no others."""
    return services.campaign_retry_failed(campaign=own_campaign(request, campaign_id), by=request.user)


@router.post(
    "/{campaign_id}/unknown",
    response={200: CampaignOut, ERRORS | {400, 409}: Error},
    summary="Resolve unknown messages",
)
def settle_unknown(request: UserRequest, campaign_id: Id, body: UnknownIn) -> Campaign:
    """Resolve all unknown messages: `resend` them as new messages, or mark them as `sent` or `failed`.

    `retry` sends messages again with the same ids, where their gateway recognises them. `retry` and `resend` require
    the scope `send`.
    """
    if Resolution(body.action) in SENDING:
        check_may_send(request)
    return services.campaign_resolve(
        campaign=own_campaign(request, campaign_id), by=request.user, resolution=Resolution(body.action)
    )


@router.post(
    "/{campaign_id}/test", response={202: MessageState, ERRORS | {400}: Error}, summary="Send a test", auth=SENDS
)
@idempotent
def test_campaign(request: UserRequest, campaign_id: Id, body: TestIn) -> Status[Message]:
    """Send one message now, rendered for the contact with that phone. The campaign's figures do not change."""
    campaign = own_campaign(request, campaign_id)
    return Status(202, services.campaign_test(campaign=campaign, by=request.user, phone=body.phone))


@router.post("/{campaign_id}/duplicate", response={201: CampaignOut, ERRORS: Error}, summary="Duplicate a campaign")
@idempotent
def duplicate_campaign(request: UserRequest, campaign_id: Id) -> Status[Campaign]:
    """Create a draft with the same text and audience."""
    return Status(201, services.campaign_duplicate(campaign=own_campaign(request, campaign_id), by=request.user))


@router.get("/{campaign_id}/stats", response={200: CampaignStats, ERRORS: Error}, summary="Show a campaign's figures")
def show_campaign_stats(request: UserRequest, campaign_id: Id) -> Any:
    """The figures of all runs of a campaign."""
    return campaign_statistics(own_campaign(request, campaign_id))


@router.get(
    "/{campaign_id}/messages", response={200: Page[MessageSummary], ERRORS: Error}, summary="List a campaign's messages"
)
def list_messages(request: UserRequest, campaign_id: Id, query: Query[MessageQuery]) -> Page[MessageSummary]:
    """The messages of a campaign, newest first."""
    campaign = own_campaign(request, campaign_id)
    found = Message.objects.filter(run__campaign=campaign).select_related("contact")
    if query.status is not None:
        found = found.in_status(query.status)
    page = keyset(found.only(*MESSAGE_COLUMNS), query.cursor, query.limit)
    items = [summary_of(message, campaign) for message in page.items]
    return Page[MessageSummary].model_construct(items=items, next=page.next)


def _fields(request: UserRequest, body: CampaignFields) -> dict[str, Any]:
    """The given fields, as arguments of the services."""
    fields: dict[str, Any] = body.dict(exclude_unset=True)
    for name, value in fields.items():
        if isinstance(value, datetime):
            aware = make_aware(value, ZoneInfo(request.user.timezone)) if is_naive(value) else value
            fields[name] = aware.astimezone(UTC)
    if "audience" in fields:
        audience = body.audience
        fields["audience"] = audience.changes() if isinstance(audience, AudiencePatch) else audience.value()
    if "gateway" in fields:
        fields["gateway"] = registry.gateway_by_name(body.gateway)
    if body.window and "window" in fields:
        fields["window"] = (body.window.start, body.window.end)
    return fields
