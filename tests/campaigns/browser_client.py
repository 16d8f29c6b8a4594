"""Helpers for tests of pages."""

from datetime import timedelta
from typing import Any

from django.test import Client
from django.utils.timezone import now

from accounts.models import User
from campaigns.models import Campaign

LIST, NEW, PREVIEW = "/campaigns/", "/campaigns/new/", "/campaigns/preview/"


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def htmx(target: str = "") -> dict[str, str]:
    return {"HX-Request": "true", "HX-Target": target}


def composed(**changes: Any) -> dict[str, Any]:
    """The fields of the composer's form."""
    ends_at = (now() + timedelta(days=2)).strftime("%Y-%m-%dT21:00")
    fields = {
        "name": "Sale",
        "text": "Hello {first_name|friend}",
        "tags_match": "any",
        "start": "now",
        "repeat": "once",
    }
    return {**fields, "ends_at": ends_at, "action": "launch", **changes}


def act(client: Client, campaign: Campaign, action: str) -> Any:
    return client.post(f"/campaigns/{campaign.pk}/{action}/", follow=True)


def page_of(campaign: Campaign) -> str:
    return f"/campaigns/{campaign.pk}/"
