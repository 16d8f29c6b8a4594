"""`/messages` of the JSON API."""

from typing import Any

from django.db.models import Prefetch
from django.shortcuts import get_object_or_404
from ninja import Router, Status

from accounts.api_access.idempotency import idempotent
from accounts.policies import check_may_change
from campaigns import services
from campaigns.api.message_schemas import MarkIn, MessageIn, MessageOut, MessageState
from campaigns.api.shared import ERRORS, SENDS, Id
from campaigns.gateways import registry
from campaigns.messages.transactional import message_send
from campaigns.models import Attempt, Message
from campaigns.states import Resolution
from directory.models import Contact
from project.http.body import Error
from project.http.client import UserRequest

router = Router(tags=["messages"])


@router.post("", response={202: MessageState, ERRORS | {400}: Error}, summary="Send a message", auth=SENDS)
@idempotent
def send_message(request: UserRequest, body: MessageIn) -> Status[Message]:
    """Send a transactional message, before all campaigns. Read it by its `id` to see its status.

    Values of placeholders come from `contact`, or else the contact with that phone. 422 if the contact has opted out.
    """
    contact = None if body.contact is None else get_object_or_404(Contact, pk=body.contact)
    gateway = registry.gateway_by_name(body.gateway)
    message = message_send(
        owner=request.user,
        phone=body.phone,
        text=body.text,
        contact=contact,
        gateway=gateway,
        sender=body.sender,
    )
    return Status(202, message)


@router.get("/{message_id}", response={200: MessageOut, ERRORS: Error}, summary="Show a message")
def show_message(request: UserRequest, message_id: Id) -> Any:
    """One message with its failed attempts, oldest first."""
    return _own_message(request, message_id, Prefetch("failures", Attempt.objects.order_by("at", "pk")))


@router.post(
    "/{message_id}/resend",
    response={202: MessageState, ERRORS | {409}: Error},
    summary="Resend an unknown message",
    auth=SENDS,
)
@idempotent
def resend_message(request: UserRequest, message_id: Id) -> Status[Message]:
    """Resend an unknown message as a new one, which is returned. The contact may get both."""
    return Status(202, _resolved(request, message_id, Resolution.RESEND))


@router.post(
    "/{message_id}/retry",
    response={202: MessageState, ERRORS | {409}: Error},
    summary="Retry an unknown message",
    auth=SENDS,
)
def retry_message(request: UserRequest, message_id: Id) -> Status[Message]:
    """Retry a message whose outcome is unknown, with the same id."""
    return Status(202, _resolved(request, message_id, Resolution.RETRY))


@router.post(
    "/{message_id}/mark", response={200: MessageState, ERRORS | {400, 409}: Error}, summary="Mark an unknown message"
)
def mark_message(request: UserRequest, message_id: Id, body: MarkIn) -> Message:
    """Mark an unknown message as `sent` or `failed`."""
    return _resolved(request, message_id, Resolution(body.status))


def _resolved(request: UserRequest, message_id: int, resolution: Resolution) -> Message:
    return services.message_resolve(message=_own_message(request, message_id), by=request.user, resolution=resolution)


def _own_message(request: UserRequest, message_id: int, *prefetched: Prefetch[Any]) -> Message:
    """The message, if the user may open its campaign."""
    found = Message.objects.select_related("run__campaign", "contact").prefetch_related(*prefetched)
    message = get_object_or_404(found, pk=message_id)
    check_may_change(request.user, message.run.campaign)
    return message
