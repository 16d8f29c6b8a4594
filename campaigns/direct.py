"""Messages to single phones, outside any campaign: they leave at once, by the gateway's own pace and no other.

Each user has one hidden campaign for them by each gateway, and in it a run for each day (UTC), so that they are leased,
sent, recorded and counted like all others.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils.translation import gettext as _

from accounts.models import User
from campaigns.events import messages_told
from campaigns.lifecycle import hint_send
from campaigns.models import Campaign, Gateway, Message, Run
from campaigns.states import RESENT, UNFINISHED, CampaignStatus
from campaigns.text import measure, render, values_of
from campaigns.unknown import copy_of
from directory import phones
from directory.models import Contact
from directory.suppression import shut
from project.clock import now
from project.logs import mask

log = structlog.get_logger("vestnik.campaigns")

_FOREVER: Final = datetime(2100, 1, 1, tzinfo=UTC)
_LASTS: Final = timedelta(days=2)


@transaction.atomic
def message_send(
    *, owner: User, phone: str | int, text: str, contact: Contact | None = None, gateway: Gateway | None = None
) -> Message:
    """Send `text` to a phone as people write it, now. ValidationError if it is none, or must not be written to.

    Placeholders are filled from `contact`, or else from the contact of that phone; where there is none, `{phone}` is
    all that is known. Without `gateway` it leaves by the one that the settings describe.
    """
    try:
        number = phones.normalise(phone)
    except ValidationError as error:
        raise ValidationError({"phone": error}) from error
    known = contact or Contact.objects.filter(phone=number).first()
    values = (
        {"phone": number}
        if known is None
        else values_of(
            first_name=known.first_name, last_name=known.last_name, phone=number, attributes=known.attributes
        )
    )
    rendered = render(text, values)
    if not rendered.strip():
        raise ValidationError({"text": _("The text comes out empty.")})
    run = _today(owner, gateway)
    message = _put(Message(run=run, phone=number, text=rendered, parts=measure(rendered).parts, due_at=now()))
    log.info("message to a phone", message=message.pk, contact=known and known.pk, phone=mask(number))
    return message


@transaction.atomic
def message_resend(message: Message) -> Message:
    """Send a direct message, locked, once more under a new id; errors as of `message_send`."""
    campaign = message.run.campaign
    again = _put(copy_of(message, _today(campaign.owner, campaign.gateway)))
    Message.objects.filter(pk=message.pk).learned(reason=RESENT)
    messages_told([message.pk])
    return again


def _put(message: Message) -> Message:
    """Have a new message sent, unless its phone must not be written to."""
    if shut([message.recipient]):
        raise ValidationError({"phone": _("The contact with this phone has opted out or is deactivated.")})
    message.save(force_insert=True)
    messages_told([message.pk])
    Run.objects.filter(pk=message.run_id).update(pending=F("pending") + 1, finished_at=None)
    hint_send()
    return message


def _today(owner: User, gateway: Gateway | None) -> Run:
    """The run of the day. A day more than that is left for messages that leave late."""
    midnight = now().replace(hour=0, minute=0, second=0, microsecond=0)
    run, _created = Run.objects.get_or_create(
        campaign=_campaign_of(owner, gateway), occurrence=midnight, defaults={"ends_at": midnight + _LASTS}
    )
    return run


def _campaign_of(owner: User, gateway: Gateway | None) -> Campaign:
    """The hidden campaign of a user by that gateway; of two requests at once the database lets one make it."""
    mine = Campaign.objects.filter(owner=owner, direct=True, gateway=gateway, status__in=UNFINISHED)
    try:
        with transaction.atomic():
            return mine.first() or Campaign.objects.create(
                owner=owner,
                direct=True,
                gateway=gateway,
                name="Direct messages",
                status=CampaignStatus.RUNNING,
                starts_at=now(),
                ends_at=_FOREVER,
                timezone=owner.timezone,
            )
    except IntegrityError:
        return mine.get()
