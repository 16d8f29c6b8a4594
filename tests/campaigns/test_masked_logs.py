"""A whole campaign with everything that goes wrong, logged at DEBUG: nothing in it that must not be told."""

import json
import logging
from collections.abc import Iterator
from typing import Any, Final

import pytest
from django.conf import settings as conf
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from accounts.models import User
from campaigns import services, tasks
from campaigns.models import Campaign
from campaigns.sandbox.faults import Faults
from campaigns.sandbox.server import Sandbox
from project.logs import Formatter
from tests import factories
from tests.campaigns.engine import slice_of
from tests.campaigns.pages import composed
from tests.conftest import ApiClient

pytestmark = pytest.mark.django_db

PHONE: Final = "79165550142"
TEXT: Final = "Дорогой Ипполит, Ваш код 4711"
WRONG: Final = "a-wrong-guess"


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What stderr would get at level DEBUG, by the formatter that it has."""
    root, told = logging.getLogger(), []
    formatter = next(each.formatter for each in root.handlers if isinstance(each.formatter, Formatter))

    class Tape(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(formatter.format(record))

    tape, level = Tape(), root.level
    root.addHandler(tape)
    root.setLevel(logging.DEBUG)
    yield told
    root.removeHandler(tape)
    root.setLevel(level)


def on_the_pages(client: Client) -> str:
    """Sign in, add the person, look for them, compose; the session's key."""
    for password in (WRONG, factories.PASSWORD):
        client.post("/accounts/login/", {"login": "alice@example.org", "password": password})
    client.post("/contacts/new/", {"phone": PHONE, "first_name": "Ипполит", "timezone": "Europe/Moscow", "tags": "x"})
    client.get("/contacts/", {"q": PHONE})
    client.get(f"/contacts/suppression/{PHONE}/")
    client.post("/campaigns/preview/", composed(text=TEXT))
    client.post("/campaigns/new/", composed(text=TEXT, name="Masked"))
    client.post("/contacts/new/", {"phone": "12", "first_name": TEXT})
    return str(client.session.session_key)


def by_the_api(alice: User) -> list[str]:
    """The same by a program, wrong and right; its tokens."""
    client = ApiClient(alice)
    credentials = {"email": alice.email, "password": factories.PASSWORD}
    token: Any = client.post("/tokens", credentials, "application/json")
    client.post("/tokens", credentials | {"password": WRONG}, "application/json")
    client.post("/contacts", {"phone": PHONE, "first_name": TEXT}, "application/json")
    client.post("/contacts/bulk", {"contacts": [{"phone": PHONE, "first_name": "Ипполит"}]}, "application/json")
    client.post("/messages", {"phone": PHONE, "text": TEXT}, "application/json")
    client.generic("POST", "/contacts", f'{{"phone": "{PHONE}", {TEXT}', "application/json")
    client.get("/contacts?phone=" + PHONE)
    return [token.json()["token"], client.defaults["HTTP_AUTHORIZATION"].removeprefix("Bearer ")]


def test_a_whole_campaign_at_debug(
    alice: User, client: Client, sandbox: Sandbox, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with CaptureQueriesContext(connection):  # as with DEBUG on, Django writes down each statement
        session = on_the_pages(client)
        secrets = [
            session,
            *by_the_api(alice),
            conf.GATEWAY_TOKEN,
            WRONG,
            factories.PASSWORD,
            PHONE,
            TEXT,
            "Ипполит",
        ]
        campaign = Campaign.objects.get(name="Masked")
        tasks.advance(campaign.pk)
        sandbox.faults = Faults().updated({"error": 0.4, "reset": 0.2, "html": 0.2})
        slice_of(sandbox, token="a-token-that-is-wrong")
        slice_of(sandbox)
        sandbox.faults = Faults()
        campaign.refresh_from_db()

        def broken(**_: Any) -> None:
            raise RuntimeError(f"duplicate key for {PHONE}\nDETAIL: ({PHONE}, {TEXT})")

        monkeypatch.setattr(services, "campaign_cancel", broken)
        program = ApiClient(alice)
        client.raise_request_exception = program.raise_request_exception = False
        told: Any = program.post(f"/campaigns/{campaign.pk}/cancel")
        monkeypatch.setattr("directory.views.contact_create", broken)
        shown = client.post("/contacts/new/", {"phone": "79161112233", "timezone": "Europe/Moscow"})
    assert (told.status_code, shown.status_code) == (500, 500)
    whole = "\n".join(lines)
    assert "RuntimeError" in whole
    assert len(lines) > 15
    bodies = whole + told.content.decode() + shown.content.decode()
    found = [secret for secret in secrets if secret in bodies or json.dumps(secret)[1:-1] in bodies]
    assert found == [], [line for line in lines if any(each in line for each in found)][:3]
    assert f"{PHONE[:4]}***{PHONE[-4:]}" in whole


def test_errors_are_mailed_to_nobody(settings: Settings) -> None:
    assert settings.ADMINS == []
    handlers = [type(each).__name__ for each in logging.getLogger("django").handlers]
    assert "AdminEmailHandler" not in handlers
