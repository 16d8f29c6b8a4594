"""A whole campaign with all kinds of errors, logged at DEBUG: no personal data or secrets in the log."""

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
from project.observability.logs import Formatter
from tests import factories
from tests.campaigns.browser_client import composed
from tests.campaigns.engine import run_session
from tests.conftest import ApiClient

pytestmark = pytest.mark.django_db

PHONE: Final = "79165550142"
TEXT: Final = "Дорогой Ипполит, Ваш код 4711"
WRONG_PASSWORD: Final = "a-wrong-guess"


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """The lines that stderr would get at level DEBUG, with its own formatter."""
    root, captured = logging.getLogger(), []
    formatter = next(handler.formatter for handler in root.handlers if isinstance(handler.formatter, Formatter))

    class Capture(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            captured.append(formatter.format(record))

    capture, level = Capture(), root.level
    root.addHandler(capture)
    root.setLevel(logging.DEBUG)
    yield captured
    root.removeHandler(capture)
    root.setLevel(level)


def use_pages(client: Client) -> str:
    """Sign in, add and search the contact, and compose a campaign; return the session key."""
    for password in (WRONG_PASSWORD, factories.PASSWORD):
        client.post("/accounts/login/", {"login": "alice@example.org", "password": password})
    client.post("/contacts/new/", {"phone": PHONE, "first_name": "Ипполит", "timezone": "Europe/Moscow", "tags": "x"})
    client.get("/contacts/", {"q": PHONE})
    client.get(f"/contacts/suppression/{PHONE}/")
    client.post("/campaigns/preview/", composed(text=TEXT))
    client.post("/campaigns/new/", composed(text=TEXT, name="Masked"))
    client.post("/contacts/new/", {"phone": "12", "first_name": TEXT})
    return str(client.session.session_key)


def use_api(alice: User) -> list[str]:
    """Do the same through the API, with valid and invalid requests; return the tokens."""
    client = ApiClient(alice)
    credentials = {"email": alice.email, "password": factories.PASSWORD}
    token: Any = client.post("/tokens", credentials, "application/json")
    client.post("/tokens", credentials | {"password": WRONG_PASSWORD}, "application/json")
    client.post("/contacts", {"phone": PHONE, "first_name": TEXT}, "application/json")
    client.post("/contacts/bulk", {"contacts": [{"phone": PHONE, "first_name": "Ипполит"}]}, "application/json")
    client.post("/messages", {"phone": PHONE, "text": TEXT}, "application/json")
    client.generic("POST", "/contacts", f'{{"phone": "{PHONE}", {TEXT}', "application/json")
    client.get("/contacts?phone=" + PHONE)
    return [token.json()["token"], client.defaults["HTTP_AUTHORIZATION"].removeprefix("Bearer ")]


def test_a_whole_campaign_at_debug(
    alice: User, client: Client, sandbox: Sandbox, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with CaptureQueriesContext(connection):  # so that Django records each statement, as with DEBUG on
        session = use_pages(client)
        secrets = [
            session,
            *use_api(alice),
            conf.GATEWAY_TOKEN,
            WRONG_PASSWORD,
            factories.PASSWORD,
            PHONE,
            TEXT,
            "Ипполит",
        ]
        campaign = Campaign.objects.get(name="Masked")
        tasks.advance(campaign.pk)
        sandbox.faults = Faults().updated({"error": 0.4, "reset": 0.2, "html": 0.2})
        run_session(sandbox, token="a-token-that-is-wrong")
        run_session(sandbox)
        sandbox.faults = Faults()
        campaign.refresh_from_db()

        def broken(**_: Any) -> None:
            raise RuntimeError(f"duplicate key for {PHONE}\nDETAIL: ({PHONE}, {TEXT})")

        monkeypatch.setattr(services, "campaign_cancel", broken)
        program = ApiClient(alice)
        client.raise_request_exception = program.raise_request_exception = False
        api_response: Any = program.post(f"/campaigns/{campaign.pk}/cancel")
        monkeypatch.setattr("directory.contacts.views.contact_create", broken)
        page = client.post("/contacts/new/", {"phone": "79161112233", "timezone": "Europe/Moscow"})
    assert (api_response.status_code, page.status_code) == (500, 500)
    log_text = "\n".join(lines)
    assert "RuntimeError" in log_text
    assert len(lines) > 15
    bodies = log_text + api_response.content.decode() + page.content.decode()
    found = [secret for secret in secrets if secret in bodies or json.dumps(secret)[1:-1] in bodies]
    assert found == [], [line for line in lines if any(handler in line for handler in found)][:3]
    assert f"{PHONE[:4]}***{PHONE[-4:]}" in log_text


def test_errors_are_not_sent_by_email(settings: Settings) -> None:
    assert settings.ADMINS == []
    handlers = [type(handler).__name__ for handler in logging.getLogger("django").handlers]
    assert "AdminEmailHandler" not in handlers
