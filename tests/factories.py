"""Functions that create rows for tests, with sensible defaults."""

import itertools
import time
from datetime import timedelta
from typing import Any

from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.utils.timezone import now

from accounts.models import User
from campaigns import services
from campaigns.models import Campaign
from directory.audiences.audience import Audience
from directory.models import Contact, Tag

PASSWORD = "correct horse battery"
_numbers = itertools.count(1)


def user(email: str | None = None, **fields: Any) -> User:
    """A user who signs in with `PASSWORD`."""
    return User.objects.create_user(email or f"user{next(_numbers)}@example.org", PASSWORD, **fields)


def contact(owner: User, *, tags: tuple[str, ...] = (), **fields: Any) -> Contact:
    """A contact with the next free phone."""
    fields.setdefault("phone", 79990000000 + next(_numbers))
    row = Contact.objects.create(owner=owner, **fields)
    row.tags.set([Tag.objects.get_or_create(name=name)[0] for name in tags])
    return row


def campaign(owner: User, **fields: Any) -> Campaign:
    """A campaign to all contacts with a unique text that starts at once and lasts an hour."""
    number = next(_numbers)
    defaults = {"name": f"Campaign {number}", "text": f"Text {number}", "audience": Audience()}
    starts_at = fields.get("starts_at") or now()
    return services.campaign_create(owner=owner, **{"ends_at": starts_at + timedelta(hours=1), **defaults, **fields})


def totp(secret: str, steps: int = 0) -> str:
    """The code of an authenticator app with this key, `steps` half minutes from now."""
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // 30 + steps)))
