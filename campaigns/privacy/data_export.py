"""The campaigns section of a user's data export."""

from typing import Any, Final

from accounts.models import User
from campaigns.fields import COLUMNS
from campaigns.models import Campaign, Unsaved

_COLUMNS: Final = ("id", *COLUMNS, "timezone", "status", "created_at")


def export_campaigns(user: User, **_kwargs: Any) -> dict[str, Any]:
    """Return a section of `accounts.profile.data_export`."""
    unsaved = Unsaved.objects.filter(user=user).order_by("pk").values("campaign", "fields", "saved_at")
    return {
        "unsaved_campaigns": list(unsaved),
        "campaigns": list(Campaign.objects.planned().filter(owner=user).order_by("pk").values(*_COLUMNS)),
    }
