"""Transactional messages: single messages to one phone, sent at once and limited only by the gateway's rate.

Each user has one hidden campaign per gateway for them, with a run per day (UTC). So they are leased, sent, recorded and
counted like all other messages.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils.translation import gettext as _

from accounts.models import User
from campaigns.gateways import registry
from campaigns.gateways.coverage import coverage_of
from campaigns.messages.unresolved import copy_of
from campaigns.models import Campaign, Gateway, Message, Run
from campaigns.placeholders import check_braces
from campaigns.planning.lifecycle import hint_send
from campaigns.states import RESENT, UNFINISHED, CampaignStatus
from campaigns.text import measure, normalise, render, values_of
from campaigns.webhook_events import log_messages
from directory import phones
from directory.models import Contact
from directory.suppression.services import blocked_phones
from project.core.clock import now
from project.observability.logs import mask

log = structlog.get_logger("vestnik.campaigns")

_FOREVER: Final = datetime(2100, 1, 1, tzinfo=UTC)
_RUN_DURATION: Final = timedelta(days=2)


@transaction.atomic
def message_send(
    *,
    owner: User,
    phone: str | int,
    text: str,
    contact: Contact | None = None,
    gateway: Gateway | None = None,
    sender: str | None = None,
    sender_required: bool = True,
) -> Message:
    """Send `text` to a phone in any usual notation, now. ValidationError if the phone is invalid or blocked.

    Values of placeholders come from `contact`, or else the contact with that phone. Without a contact only `{phone}`
    has a value. Without `gateway`, or if it does not take the number, the gateway that carries the number is used. That
    gateway must allow the `sender`; unless it is required, the gateway's default is used instead, as in campaigns.
    """
    try:
        number = phones.deliverable(phone)
    except ValidationError as error:
        raise ValidationError({"phone": error}) from error
    check_braces(text)
    known = contact or Contact.objects.filter(phone=number).first()
    values = (
        {"phone": number}
        if known is None
        else values_of(
            first_name=known.first_name,
            last_name=known.last_name,
            phone=number,
            attributes=known.attributes,
        )
    )
    rendered = render(normalise(text), values)
    if not rendered.strip():
        raise ValidationError({"text": _("The message text is empty.")})
    carrier = _carrier(number, gateway)
    if sender_required:
        registry.check_sender(carrier, sender, phones.country(number))
    run, parts = _run_of_today(owner, carrier), measure(rendered).parts
    registry.check_parts(run.campaign, parts)
    message = _save_and_hint(Message(run=run, phone=number, text=rendered, parts=parts, sender=sender, due_at=now()))
    log.info("transactional message", message=message.pk, contact=known and known.pk, phone=mask(number))
    return message


def _carrier(phone: int, gateway: Gateway | None) -> Gateway | None:
    """The gateway that carries this phone: `gateway` if it does. ValidationError if none does."""
    name = coverage_of(gateway.pk if gateway else None).gateway_of(phone, phones.country(phone))
    if name is None:
        raise ValidationError({"phone": _("No gateway takes this phone number.")})
    return registry.gateway_by_name(name)


@transaction.atomic
def message_resend(message: Message) -> Message:
    """Send a locked transactional message again under a new id; errors as in `message_send`."""
    campaign = message.run.campaign
    resent = _save_and_hint(copy_of(message, _run_of_today(campaign.owner, campaign.gateway)))
    Message.objects.filter(pk=message.pk).update_ended(now(), reason=RESENT)
    log_messages([message.pk])
    return resent


def _save_and_hint(message: Message) -> Message:
    """Save a new message and hint a sender; ValidationError if its phone is blocked."""
    if blocked_phones([message.recipient]):
        raise ValidationError({"phone": _("The contact with this phone number has opted out or is deactivated.")})
    message.save(force_insert=True)
    log_messages([message.pk])
    Run.objects.filter(pk=message.run_id).update(pending=F("pending") + 1, finished_at=None)
    hint_send()
    return message


def _run_of_today(owner: User, gateway: Gateway | None) -> Run:
    """The run of today. It lasts a day longer, for messages that are sent late."""
    midnight = now().replace(hour=0, minute=0, second=0, microsecond=0)
    run, _created = Run.objects.get_or_create(
        campaign=_campaign_of(owner, gateway), occurrence=midnight, defaults={"ends_at": midnight + _RUN_DURATION}
    )
    return run


def _campaign_of(owner: User, gateway: Gateway | None) -> Campaign:
    """The hidden campaign of a user and gateway. The database lets only one of two concurrent requests create it."""
    existing = Campaign.objects.filter(owner=owner, transactional=True, gateway=gateway, status__in=UNFINISHED)
    try:
        with transaction.atomic():
            return existing.first() or Campaign.objects.create(
                owner=owner,
                transactional=True,
                gateway=gateway,
                name="Direct messages",
                status=CampaignStatus.RUNNING,
                starts_at=now(),
                ends_at=_FOREVER,
                timezone=owner.timezone,
            )
    except IntegrityError:
        return existing.get()
