"""`/campaigns` and `/messages` of the JSON API."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Prefetch
from django.shortcuts import get_object_or_404
from django.utils.timezone import is_naive, make_aware
from django.utils.translation import gettext as _
from ninja import Path, Query, Router, Status

from accounts.auth import TokenAuth, check_may_send
from accounts.idempotency import idempotent
from accounts.models import Scope
from campaigns import connections, services
from campaigns.direct import message_send
from campaigns.models import Attempt, Campaign, Message
from campaigns.preview import campaign_preview
from campaigns.schemas import (
    MESSAGE_COLUMNS,
    CampaignFields,
    CampaignIn,
    CampaignOut,
    CampaignPatch,
    CampaignStats,
    CampaignSummary,
    MarkIn,
    MessageIn,
    MessageOut,
    MessageQuery,
    MessageState,
    MessageSummary,
    PreviewIn,
    PreviewOut,
    TestIn,
    UnknownIn,
    summary_of,
)
from campaigns.states import CampaignStatus, Remedy
from campaigns.statistics import campaign_statistics
from campaigns.unknown import SENDING
from directory.audience import Audience
from directory.models import Contact
from project.http import Error, ListQuery, Page, Signed, keyset, page_of

campaigns = Router(tags=["campaigns"])
messages = Router(tags=["messages"])

Id = Annotated[int, Path(ge=1, le=2**63 - 1)]
ERRORS: Final = frozenset({401, 403, 404, 422})
READS: Final = TokenAuth(Scope.READ)
SENDS: Final = TokenAuth(Scope.SEND)


@campaigns.get("", response={200: Page[CampaignSummary], frozenset({401, 422}): Error}, summary="List campaigns")
def list_campaigns(request: Signed, query: Query[ListQuery]) -> dict[str, Any]:
    """Everyone's campaigns as summaries, newest first."""
    return page_of(keyset(Campaign.objects.visible(), query.cursor, query.limit), lambda row: row)


@campaigns.post("", response={201: CampaignOut, frozenset({400, 401, 409, 422}): Error}, summary="Create a campaign")
@idempotent
def create_campaign(request: Signed, body: CampaignIn) -> Status[Campaign]:
    """It starts by itself at `starts_at`, or at once if that has passed. Needs the scope `send`, unless a draft."""
    if body.status == "scheduled":
        check_may_send(request)
    fields = {"audience": Audience(), **_fields(request, body), "draft": body.status == "draft"}
    fields.pop("status", None)
    return Status(201, services.campaign_create(owner=request.user, **fields))


@campaigns.post(
    "/preview", response={200: PreviewOut, frozenset({400, 401, 422}): Error}, summary="Preview a campaign", auth=READS
)
def preview_campaign(request: Signed, body: PreviewIn) -> Any:
    """How many would get it, in how many parts, and what some of them would read. Nothing is stored."""
    found = campaign_preview(text=body.text, audience=body.audience.value())
    samples = [{**vars(sample), "phone": str(sample.phone)} for sample in found.samples]
    return {**vars(found), "samples": samples}


@campaigns.get("/{campaign_id}", response={200: CampaignOut, ERRORS: Error}, summary="Show a campaign")
def show_campaign(request: Signed, campaign_id: Id) -> Campaign:
    """One campaign, for its creator or an administrator."""
    return _own(request, campaign_id)


@campaigns.patch("/{campaign_id}", response={200: CampaignOut, ERRORS | {400, 409}: Error}, summary="Change a campaign")
def change_campaign(request: Signed, campaign_id: Id, body: CampaignPatch) -> Campaign:
    """Change a campaign as far as its state allows."""
    campaign, fields = _own(request, campaign_id), _fields(request, body)
    status = fields.pop("status", None)
    if status == CampaignStatus.SCHEDULED:
        check_may_send(request)
    with transaction.atomic():
        if fields:
            campaign = services.campaign_update(campaign=campaign, by=request.user, **fields)
        if status not in (None, campaign.status):
            go = services.campaign_launch if status == CampaignStatus.SCHEDULED else services.campaign_withdraw
            campaign = go(campaign=campaign, by=request.user)
    return campaign


@campaigns.delete("/{campaign_id}", response={204: None, ERRORS: Error}, summary="Delete a campaign")
def delete_campaign(request: Signed, campaign_id: Id) -> Status[None]:
    """Cancel and hide; its messages and figures stay."""
    services.campaign_delete(campaign=_own(request, campaign_id), by=request.user)
    return Status(204, None)


@campaigns.post("/{campaign_id}/pause", response={200: CampaignOut, ERRORS | {409}: Error}, summary="Pause a campaign")
def pause_campaign(request: Signed, campaign_id: Id) -> Campaign:
    """Nothing more leaves until it is resumed."""
    return services.campaign_pause(campaign=_own(request, campaign_id), by=request.user)


@campaigns.post(
    "/{campaign_id}/resume", response={200: CampaignOut, ERRORS | {409}: Error}, summary="Resume a campaign", auth=SENDS
)
def resume_campaign(request: Signed, campaign_id: Id) -> Campaign:
    """Go on where it was paused."""
    return services.campaign_resume(campaign=_own(request, campaign_id), by=request.user)


@campaigns.post(
    "/{campaign_id}/cancel", response={200: CampaignOut, ERRORS | {409}: Error}, summary="Cancel a campaign"
)
def cancel_campaign(request: Signed, campaign_id: Id) -> Campaign:
    """Stop for good."""
    return services.campaign_cancel(campaign=_own(request, campaign_id), by=request.user)


@campaigns.post(
    "/{campaign_id}/retry-failed",
    response={200: CampaignOut, ERRORS | {409}: Error},
    summary="Retry what failed",
    auth=SENDS,
)
def retry_failed(request: Signed, campaign_id: Id) -> Campaign:
    """Give what failed its attempts anew, and nothing else."""
    return services.campaign_retry_failed(campaign=_own(request, campaign_id), by=request.user)


@campaigns.post(
    "/{campaign_id}/unknown", response={200: CampaignOut, ERRORS | {400, 409}: Error}, summary="Settle what is unknown"
)
def settle_unknown(request: Signed, campaign_id: Id, body: UnknownIn) -> Campaign:
    """Make the same of everything that is unknown: `resend` as new messages, or take for `sent` or `failed`.

    `retry` tries those once more, with the same ids, that were stopped because their attempts had no outcome. These two
    need the scope `send`.
    """
    if Remedy(body.action) in SENDING:
        check_may_send(request)
    return services.campaign_remedy(campaign=_own(request, campaign_id), by=request.user, remedy=Remedy(body.action))


@campaigns.post(
    "/{campaign_id}/test", response={202: MessageState, ERRORS | {400}: Error}, summary="Send a test", auth=SENDS
)
@idempotent
def test_campaign(request: Signed, campaign_id: Id, body: TestIn) -> Status[Message]:
    """Send one message now, with the text as the contact of that phone would read it; no figure of it changes."""
    campaign = _own(request, campaign_id)
    return Status(202, services.campaign_test(campaign=campaign, by=request.user, phone=body.phone))


@campaigns.post("/{campaign_id}/duplicate", response={201: CampaignOut, ERRORS: Error}, summary="Duplicate a campaign")
@idempotent
def duplicate_campaign(request: Signed, campaign_id: Id) -> Status[Campaign]:
    """A draft with the same text and audience."""
    return Status(201, services.campaign_duplicate(campaign=_own(request, campaign_id), by=request.user))


@campaigns.get(
    "/{campaign_id}/stats", response={200: CampaignStats, ERRORS: Error}, summary="Show a campaign's figures"
)
def show_campaign_stats(request: Signed, campaign_id: Id) -> Any:
    """The figures of all runs of a campaign."""
    return campaign_statistics(_own(request, campaign_id))


@campaigns.get(
    "/{campaign_id}/messages", response={200: Page[MessageSummary], ERRORS: Error}, summary="List a campaign's messages"
)
def list_messages(request: Signed, campaign_id: Id, query: Query[MessageQuery]) -> Page[MessageSummary]:
    """Newest first."""
    campaign = _own(request, campaign_id)
    found = Message.objects.filter(run__campaign=campaign).select_related("contact")
    if query.status is not None:
        found = found.in_status(query.status)
    page = keyset(found.only(*MESSAGE_COLUMNS), query.cursor, query.limit)
    items = [summary_of(message, campaign) for message in page.items]
    return Page[MessageSummary].model_construct(items=items, next=page.next)


@messages.post("", response={202: MessageState, ERRORS | {400}: Error}, summary="Send a message", auth=SENDS)
@idempotent
def send_message(request: Signed, body: MessageIn) -> Status[Message]:
    """One message, outside any campaign and ahead of all of them. Ask for its `id` to learn what becomes of it.

    Placeholders are filled from `contact`, or else from the contact with that phone. 422 if that contact has opted out.
    """
    contact = None if body.contact is None else get_object_or_404(Contact, pk=body.contact)
    gateway = connections.chosen(body.gateway)
    message = message_send(owner=request.user, phone=body.phone, text=body.text, contact=contact, gateway=gateway)
    return Status(202, message)


@messages.get("/{message_id}", response={200: MessageOut, ERRORS: Error}, summary="Show a message")
def show_message(request: Signed, message_id: Id) -> Any:
    """One message with its failed attempts, oldest first."""
    return _own_message(request, message_id, Prefetch("failures", Attempt.objects.order_by("at", "pk")))


@messages.post(
    "/{message_id}/resend",
    response={202: MessageState, ERRORS | {409}: Error},
    summary="Send an unknown message again",
    auth=SENDS,
)
@idempotent
def resend_message(request: Signed, message_id: Id) -> Status[Message]:
    """Send an unknown one again as a new message, which is the answer; the person may get it twice."""
    return Status(202, _remedied(request, message_id, Remedy.RESEND))


@messages.post(
    "/{message_id}/retry",
    response={202: MessageState, ERRORS | {409}: Error},
    summary="Retry a stopped message",
    auth=SENDS,
)
def retry_message(request: Signed, message_id: Id) -> Status[Message]:
    """Try one once more, with the same id, that was stopped because its attempts had no outcome."""
    return Status(202, _remedied(request, message_id, Remedy.RETRY))


@messages.post(
    "/{message_id}/mark", response={200: MessageState, ERRORS | {400, 409}: Error}, summary="Mark an unknown message"
)
def mark_message(request: Signed, message_id: Id, body: MarkIn) -> Message:
    """Take an unknown one for `sent` or `failed`."""
    return _remedied(request, message_id, Remedy(body.status))


def _remedied(request: Signed, message_id: int, remedy: Remedy) -> Message:
    return services.message_remedy(message=_own_message(request, message_id), by=request.user, remedy=remedy)


def _own_message(request: Signed, message_id: int, *prefetched: Prefetch[Any]) -> Message:
    """The message, if the user may open its campaign."""
    found = Message.objects.select_related("run__campaign", "contact").prefetch_related(*prefetched)
    message = get_object_or_404(found, pk=message_id)
    _check_owner(request, message.run.campaign)
    return message


def _own(request: Signed, campaign_id: int) -> Campaign:
    """The campaign, if the user may open it."""
    campaign = get_object_or_404(Campaign.objects.visible(), pk=campaign_id)
    _check_owner(request, campaign)
    return campaign


def _check_owner(request: Signed, campaign: Campaign) -> None:
    if not request.user.may_change(campaign):
        raise PermissionDenied(_("This campaign is not yours."))


def _fields(request: Signed, body: CampaignFields) -> dict[str, Any]:
    """What was given, as the services take it."""
    fields: dict[str, Any] = body.dict(exclude_unset=True)
    for name, value in fields.items():
        if isinstance(value, datetime):
            aware = make_aware(value, ZoneInfo(request.user.timezone)) if is_naive(value) else value
            fields[name] = aware.astimezone(UTC)
    if "audience" in fields:
        fields["audience"] = body.audience.value()
    if "gateway" in fields:
        fields["gateway"] = connections.chosen(body.gateway)
    if body.window and "window" in fields:
        fields["window"] = (body.window.start, body.window.end)
    return fields
