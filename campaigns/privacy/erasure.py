"""Erasure of a contact in campaigns: phone and texts of its messages, and messages from it. Figures stay."""

from typing import Any
from urllib.parse import unquote_plus

from django.db import connection
from django.utils.translation import gettext as _

from campaigns.messages.incoming import incoming_from
from campaigns.models import Attempt, Message, ProviderId, Unsaved
from campaigns.states import MessageStatus
from directory import phones
from directory.models import Contact
from project.http.errors import Conflict


def erase_messages(contact: Contact, phone: int, **_signal: Any) -> None:
    """Erase phone, texts and providers' ids, in the caller's transaction.

    Conflict while a message is being sent: retries need phone and text. Later receipts by these ids have no effect.

    Pending messages are cancelled when they are leased, because the contact is deactivated.
    """
    messages = Message.objects.filter(pk__in=Message.objects.to(contact).values("pk"))
    if connection.features.has_select_for_update:
        list(messages.select_for_update(of=("self",)).values_list("pk", flat=True))
    if messages.filter(status=MessageStatus.SENDING).exists():
        raise Conflict(_("A message to this contact is being sent right now. Try again in a minute."))
    Attempt.objects.filter(message__in=messages).update(answer="")
    ProviderId.objects.filter(message__in=messages).delete()
    messages.update(phone=phone, text="")
    incoming_from(contact).delete()
    _erase_unsaved(contact.phone)


def _erase_unsaved(phone: int) -> None:
    """Delete unsaved input of the composer that contains the phone, in any notation."""
    pattern = phones.phone_pattern(phone)
    rows = Unsaved.objects.values_list("pk", "fields")
    matching = [pk for pk, fields in rows if pattern.search(unquote_plus(fields))]
    Unsaved.objects.filter(pk__in=matching).delete()
