"""What a user is told of their campaigns when they take their data away."""

from typing import Any

from accounts.models import User
from campaigns.models import Campaign

_FIELDS = ("id", "name", "text", "status", "starts_at", "ends_at", "created_at")


def campaigns_told(user: User, **_kwargs: Any) -> dict[str, Any]:
    """A section of `accounts.personal`."""
    return {"campaigns": list(Campaign.objects.filter(owner=user, direct=False).order_by("pk").values(*_FIELDS))}
