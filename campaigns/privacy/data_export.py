"""The campaigns section of a user's data export, and the messages to and from a contact of a contact's."""

from typing import Any, Final

from accounts.models import User
from campaigns.fields import COLUMNS
from campaigns.messages.incoming import incoming_from
from campaigns.models import Campaign, Message, Unsaved
from directory.models import Contact

_INCOMING: Final = ("id", "gateway", "provider_id", "sender", "recipient", "text", "sent_at", "received_at", "action")
_COLUMNS: Final = ("id", *COLUMNS, "timezone", "status", "created_at")


def export_campaigns(user: User, **_kwargs: Any) -> dict[str, Any]:
    """Return a section of `accounts.profile.data_export`."""
    unsaved = Unsaved.objects.filter(user=user).order_by("pk").values("campaign", "fields", "saved_at")
    return {
        "unsaved_campaigns": list(unsaved),
        "campaigns": list(Campaign.objects.planned().filter(owner=user).order_by("pk").values(*_COLUMNS)),
    }


def export_messages(contact: Contact, **_kwargs: Any) -> dict[str, Any]:
    """Return sections of `directory.contacts.data_export`."""
    names = ("id", "status", "reason", "sender", "text", "due_at", "changed_at")
    found = Message.objects.filter(pk__in=Message.objects.to(contact).values("pk")).order_by("-pk")
    return {
        "messages": [
            {
                **{name: getattr(message, name) for name in names},
                "campaign": message.planned_run.campaign_id if message.planned_run else None,
                "phone": str(message.recipient),
                "provider_ids": message.provider_id_list,
            }
            for message in found.select_related("run__campaign", "contact").prefetch_related("provider_ids")
        ],
        "incoming": list(incoming_from(contact).order_by("-pk").values(*_INCOMING)),
    }
