"""What campaigns forget of a contact that is erased: phone and texts of its messages. Their states and counts stay."""

from typing import Any

from django.db import connection
from django.utils.translation import gettext as _

from campaigns.models import Attempt, Message
from campaigns.states import MessageStatus
from directory.models import Contact
from project.http import Conflict


def messages_forget(contact: Contact, phone: int, **_signal: Any) -> None:
    """Within the transaction of the erasure. Conflict while a message is leaving: its retries need the payload.

    What has not left yet is cancelled when it is leased, for its contact is deactivated.
    """
    messages = Message.objects.filter(pk__in=Message.objects.to(contact).values("pk"))
    if connection.features.has_select_for_update:
        list(messages.select_for_update(of=("self",)).values_list("pk", flat=True))
    if messages.filter(status=MessageStatus.SENDING).exists():
        raise Conflict(_("A message to this contact is leaving just now. Try again in a minute."))
    Attempt.objects.filter(message__in=messages).update(answer="")
    messages.update(phone=phone, text="")
