"""Transactional messages: single messages to one phone, sent at once and limited only by the gateway's rate.

Each user has one hidden campaign per gateway for them, with a run per day (UTC). So they are leased, sent, recorded and
counted like all other messages.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

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
from directory.suppression.services import blocked_phones, unanswerable_phones
from project.core.clock import now
from project.observability.logs import mask

log = structlog.get_logger("vestnik.campaigns")

_FOREVER: Final = datetime(2100, 1, 1, tzinfo=UTC)
_RUN_DURATION: Final = timedelta(days=2)


class Answer(NamedTuple):
    """The answer to a keyword. `recipient` is where the keyword was sent to: the sender name, if it is allowed."""

    text: str
    recipient: str = ""


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
def answers_send(*, owner: User, answers: Mapping[int, Answer], gateway: Gateway | None) -> dict[int, int]:
    """Send answers to keywords by phone, now and word for word; return the ids of the messages.

    The only messages that a phone may get after it has opted out by a reply. A phone that is blocked for another
    reason gets none, and neither does one that no gateway takes.
    """
    blocked, coverage = unanswerable_phones(answers), coverage_of(gateway.pk if gateway else None)
    by_carrier: dict[str, list[int]] = defaultdict(list)
    for phone in answers.keys() - blocked:
        carrier = coverage.gateway_of(phone, phones.country(phone)) if _is_deliverable(phone) else None
        if carrier is not None:
            by_carrier[carrier].append(phone)
    sent: dict[int, Message] = {}
    for carrier, numbers in sorted(by_carrier.items()):
        run = _run_of_today(owner, registry.gateway_by_name(carrier))
        limit = registry.max_parts_of(run.campaign)
        names = {_bare(name): name for name in registry.senders_of(registry.known_gateway(carrier)).names}
        for phone in sorted(numbers):
            text, sender = normalise(answers[phone].text), names.get(_bare(answers[phone].recipient))
            parts = measure(text).parts
            if limit is None or parts <= limit:
                sent[phone] = Message(run=run, phone=phone, text=text, parts=parts, sender=sender, due_at=now())
    _save_all_and_hint(sent.values())
    return {phone: message.pk for phone, message in sent.items()}


def _bare(name: str) -> str:
    """A sender name or number as it is compared: providers differ in case and plus."""
    return name.removeprefix("+").casefold()


def _is_deliverable(phone: int) -> bool:
    try:
        phones.deliverable(phone)
    except ValidationError:
        return False
    return True


def _save_all_and_hint(messages: Collection[Message]) -> None:
    """Save new messages and hint a sender; runs are locked last, by id."""
    if not messages:
        return
    Message.objects.bulk_create(messages)
    log_messages([message.pk for message in messages])
    for run_id, number in sorted(Counter(message.run_id for message in messages).items()):
        Run.objects.filter(pk=run_id).update(pending=F("pending") + number, finished_at=None)
    hint_send()


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
    _save_all_and_hint([message])
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
