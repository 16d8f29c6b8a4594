"""Messages that phones have sent to a gateway: stored once, for `replies` to process, and who may read them."""

import hashlib
import json
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Final

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q, QuerySet

from accounts.models import User
from campaigns.gateways.protocol import Incoming, Reported
from campaigns.messages.receipts import apply_receipts, receipts_store
from campaigns.models import MAX_ADDRESS, MAX_PROVIDER_ID, IncomingMessage, Message
from campaigns.states import CHARGED
from directory import phones
from directory.models import Contact
from project.core.clock import now
from project.core.sql import is_among

_REPEATED: Final = timedelta(days=1)
# Shorter numbers are those of services.
_DIGITS: Final = range(8, 16)


@transaction.atomic
def reported_store(gateway: str, reported: Reported) -> tuple[int, int]:
    """Store what a callback reports; return the numbers of receipts and of incoming messages."""
    return receipts_store(gateway, reported.receipts), incoming_store(gateway, reported.incoming)


@transaction.atomic
def incoming_store(gateway: str, incoming: Collection[Incoming]) -> int:
    """Store incoming messages of a gateway, each with its contact; return how many, repeats included.

    A repeat has the same provider's id, or, where there is none, the same contents and time within a day. Without a
    time it is a repeat only of the latest message from its phone: somebody may stop, start, and stop again.
    """
    if not incoming:
        return 0
    moment, reported = now(), len(incoming)
    incoming = _without_echoes(gateway, incoming, moment)
    rows = [_row(gateway, message, moment) for message in incoming]
    yesterday = {
        row.fingerprint: _fingerprint(gateway, message, moment - _REPEATED)
        for row, message in zip(rows, incoming, strict=True)
        if not message.provider_id
    }
    recent = IncomingMessage.objects.filter(received_at__gt=moment - _REPEATED)
    repeated = set(recent.filter(fingerprint__in=yesterday.values()).values_list("fingerprint", flat=True))
    new = [row for row in rows if yesterday.get(row.fingerprint) not in repeated]
    _set_contacts(new)
    IncomingMessage.objects.bulk_create(new, ignore_conflicts=True)
    if new:
        apply_receipts.enqueue()
    return reported


def _without_echoes(gateway: str, incoming: Collection[Incoming], moment: datetime) -> list[Incoming]:
    """The same without messages that have neither id nor time and equal the latest one from their phone.

    The others of this kind get the present time, so that each is a message of its own.
    """
    bare = {_sender(message) for message in incoming if not message.provider_id and message.sent_at is None}
    recent = IncomingMessage.objects.filter(gateway=gateway, received_at__gt=moment - _REPEATED, sender__in=bare)
    latest = dict(recent.order_by("pk").values_list("sender", "text")) if bare else {}
    kept: list[Incoming] = []
    for number, message in enumerate(incoming):
        if message.provider_id or message.sent_at is not None:
            kept.append(message)
        elif latest.get(_sender(message)) != _storable(message.text):
            kept.append(message._replace(sent_at=moment + timedelta(microseconds=number)))
        latest[_sender(message)] = _storable(message.text)
    return kept


def incoming_from(contact: Contact) -> QuerySet[IncomingMessage]:
    """The messages from a contact, and those from its phone before it was a contact."""
    return IncomingMessage.objects.filter(Q(contact=contact) | Q(phone=contact.phone))


def readable(rows: Collection[IncomingMessage], user: User) -> set[int]:
    """The ids of those whose text the user may read: all for administrators, else if the user has written to them."""
    if user.is_staff:
        return {row.pk for row in rows}
    accepted = Message.objects.filter(run__campaign__owner=user, status__in=CHARGED)
    to_contacts = accepted.filter(contact__in={row.contact_id for row in rows if row.contact_id})
    to_phones = accepted.filter(contact=None, phone__in={row.phone for row in rows if row.phone})
    contacts = set(to_contacts.values_list("contact_id", flat=True).distinct())
    numbers = set(to_phones.values_list("phone", flat=True).distinct())
    return {row.pk for row in rows if row.contact_id in contacts or row.phone in numbers}


def _row(gateway: str, message: Incoming, moment: datetime) -> IncomingMessage:
    plausible = message.sent_at is not None and 2000 <= message.sent_at.year <= 2100
    return IncomingMessage(
        gateway=gateway,
        provider_id=_storable(message.provider_id)[:MAX_PROVIDER_ID],
        fingerprint=_fingerprint(gateway, message, moment),
        phone=_phone(message.phone),
        sender=_sender(message),
        recipient=_storable(message.recipient)[:MAX_ADDRESS],
        text=_storable(message.text),
        sent_at=message.sent_at if plausible else None,
        received_at=moment,
    )


def _sender(message: Incoming) -> str:
    """Where a message is from, as it is stored."""
    return _storable(message.phone)[:MAX_ADDRESS]


def _fingerprint(gateway: str, message: Incoming, moment: datetime) -> str:
    """The same for the same message: by its id, or else by its contents and the day."""
    contents = [message.phone, message.recipient, message.text, str(message.sent_at), f"{moment:%Y-%m-%d}"]
    values = [gateway, message.provider_id] if message.provider_id else [gateway, *contents]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def _phone(text: str) -> int | None:
    """The phone that a text is, also one of a country to which nothing is sent; None if it is none."""
    try:
        return phones.normalise(text)
    except ValidationError:
        digits = text.removeprefix("+")
        is_number = digits.isascii() and digits.isdecimal() and len(digits) in _DIGITS
        return int(digits) if is_number and phones.country(int(digits)) else None


def _set_contacts(rows: Iterable[IncomingMessage]) -> None:
    numbers = {row.phone for row in rows if row.phone}
    contacts = dict(Contact.objects.filter(is_among("phone", numbers)).values_list("phone", "pk"))
    for row in rows:
        row.contact_id = contacts.get(row.phone or 0)


def _storable(text: str) -> str:
    """Replace what PostgreSQL can't store."""
    return text.replace("\0", "�").encode("utf-8", "replace").decode()
