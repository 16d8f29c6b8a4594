"""Codes, recovery codes and sessions. Passkeys are tested in a browser."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.core import mail
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client, RequestFactory
from pytest_django import Settings
from structlog.testing import capture_logs
from time_machine import travel

from accounts.models import ApiToken, User
from project.http.client import client_address, warn_of_untrusted_proxy
from tests.conftest import ApiClient
from tests.factories import PASSWORD, totp

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _middle_of_a_step() -> Iterator[None]:
    """Keep tests away from the moment at which codes change."""
    with travel("2026-11-25T10:00:10Z", tick=False):
        yield


def enter(client: Client, user: User) -> None:
    client.force_login(user)
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})


@pytest.fixture
def secret(client: Client, alice: User) -> str:
    """The key of Alice's authenticator app, set up but not used yet."""
    enter(client, alice)
    EmailAddress.objects.create(user=alice, email=alice.email, verified=True, primary=True)
    key = str(client.get("/accounts/2fa/totp/activate/").context["form"].secret)
    assert client.post("/accounts/2fa/totp/activate/", {"code": totp(key)}).status_code == 302
    return key


def passed(code: str) -> bool:
    """Whether Alice's password and that code sign her in."""
    browser = Client()
    answer = browser.post("/accounts/login/", {"login": "alice@example.org", "password": PASSWORD})
    assert answer["Location"] == "/accounts/2fa/authenticate/"
    assert browser.get("/account/").status_code == 302
    page = browser.get("/accounts/2fa/authenticate/").content.decode()
    assert "style=" not in page
    browser.post("/accounts/2fa/authenticate/", {"code": code})
    return browser.get("/account/").status_code == 200


def test_code_is_required_after_the_password_and_accepted_once(secret: str) -> None:
    assert not passed("000000")
    assert passed(totp(secret, 1))
    assert not passed(totp(secret, 1))
    with travel("2026-11-25T10:00:45Z", tick=False):
        spaced = totp(secret)
        assert not passed(f"{spaced[:3]}-{spaced[3:]}"), "it was used half a minute ago, written otherwise"
    assert passed(totp(secret, -1))
    assert not passed(totp(secret, 2))


def test_secrets_are_sealed_and_survive_a_change_of_key(secret: str, settings: Settings) -> None:
    assert secret not in str(list(Authenticator.objects.values()))
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another-key" * 6
    call_command("reseal")
    settings.SECRET_KEY_FALLBACKS = []

    assert passed(totp(secret, 1))


def test_lost_key_is_reported_with_a_remedy(secret: str, settings: Settings) -> None:
    settings.SECRET_KEY = "another-key" * 6
    browser, program = Client(raise_request_exception=False), ApiClient()
    program.raise_request_exception = False
    browser.post("/accounts/login/", {"login": "alice@example.org", "password": PASSWORD})
    body = {"email": "alice@example.org", "password": PASSWORD, "code": totp(secret, 1)}
    answers = [
        browser.post("/accounts/2fa/authenticate/", {"code": totp(secret, 1)}),
        program.post("/tokens", body, content_type="application/json"),
    ]
    for answer in answers:
        assert answer.status_code == 503
        assert "SECRET_KEY_FALLBACKS" in answer.content.decode()
    assert browser.get("/account/").status_code == 302


def test_recovery_code_is_accepted_once(secret: str, client: Client) -> None:
    codes = client.get("/accounts/2fa/recovery-codes/").context["unused_codes"]

    assert passed(codes[0])
    assert not passed(codes[0])
    assert client.get("/accounts/2fa/recovery-codes/download/").content.decode().split() == codes[1:]


def test_changes_are_notified_by_email(secret: str, client: Client) -> None:
    client.post("/accounts/2fa/totp/deactivate/")

    assert mail.outbox[-1].subject == "Vestnik: Authenticator App Deactivated"
    assert "IP address: 127.0.0.1" in mail.outbox[-1].body
    assert not Authenticator.objects.exists()


def test_turning_it_off_requires_reauthentication(secret: str, alice: User) -> None:
    thief = Client()
    thief.force_login(alice)

    for path in ("totp/deactivate/", "recovery-codes/", "recovery-codes/generate/", "webauthn/add/"):
        assert "reauthenticate" in thief.get(f"/accounts/2fa/{path}")["Location"]
    thief.post("/accounts/2fa/totp/deactivate/")
    assert Authenticator.objects.filter(type="totp").exists()


def test_address_must_be_confirmed_first(client: Client, alice: User) -> None:
    EmailAddress.objects.create(user=alice, email=alice.email, verified=False, primary=True)
    enter(client, alice)

    assert "verified your email" in client.get("/accounts/2fa/totp/activate/", follow=True).content.decode()


def test_address_can_be_changed_with_a_second_factor(secret: str, client: Client, alice: User) -> None:
    client.post("/accounts/email/", {"email": "new@example.org", "action_add": ""})

    assert "new@example.org" in client.get("/accounts/email/").content.decode()
    alice.refresh_from_db()
    assert alice.email == "alice@example.org"


def issue(**fields: Any) -> Any:
    body = {"email": "alice@example.org", "password": PASSWORD, **fields}
    return ApiClient().post("/tokens", body, content_type="application/json")


def test_issuing_a_token_requires_the_code(secret: str, client: Client) -> None:
    recovery = client.get("/accounts/2fa/recovery-codes/").context["unused_codes"][0]

    assert (issue().status_code, issue(code="123456").status_code) == (401, 401)
    assert "two-factor authentication" in issue().json()["detail"]
    assert issue(code="123456").json()["detail"] == "The code is wrong or has already been used."
    assert issue(password="wrong", code=totp(secret, 1)).json()["detail"] == "Wrong e-mail address or password."
    assert issue(code=totp(secret, 1)).status_code == 201
    assert issue(code=totp(secret, 1)).status_code == 401
    assert issue(code=recovery).status_code == 201
    assert ApiToken.objects.count() == 2


def test_code_guessing_is_rate_limited(secret: str) -> None:
    for number in range(5):
        assert issue(code=f"00000{number}").status_code == 401

    answer = issue(code=totp(secret, 1))

    assert (answer.status_code, answer["Retry-After"]) == (429, "300")


@pytest.mark.parametrize("code", ["", "x" * 51, "a\0b", "１２３４５６", 5, []])
def test_malformed_code_is_refused(secret: str, code: object) -> None:
    assert issue(code=code).status_code in (401, 422)


def test_sessions_are_listed_and_ended_one_by_one(client: Client, alice: User, bob: User) -> None:
    phone = Client(headers={"User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0) Version/18.0 Safari/604.1"})
    for browser in (client, phone):
        browser.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
    row = UserSession.objects.get(user_agent__contains="iPhone")
    page = client.get("/accounts/sessions/").content.decode()
    assert "Safari, iPhone" in page
    assert "style=" not in page

    stranger = Client()
    stranger.force_login(bob)
    assert stranger.post(f"/account/sessions/{row.pk}/end/").status_code == 404
    assert phone.get("/account/").status_code == 200
    assert client.post(f"/account/sessions/{row.pk}/end/").status_code == 302
    assert phone.get("/account/").status_code == 302
    assert client.get("/account/").status_code == 200


def test_session_activity_is_updated_every_five_minutes(client: Client, alice: User) -> None:
    client.force_login(alice)
    client.get("/account/", headers={"X-Forwarded-For": "6.6.6.6"})
    first = UserSession.objects.get()
    assert first.ip == "127.0.0.1"
    with travel(first.last_seen_at + timedelta(minutes=4), tick=False):
        client.get("/account/")
    assert UserSession.objects.get().last_seen_at == first.last_seen_at
    with travel(first.last_seen_at + timedelta(minutes=6), tick=False):
        client.get("/account/")
    assert UserSession.objects.get().last_seen_at > first.last_seen_at


@pytest.mark.parametrize(
    ("proxies", "forwarded", "caller", "address"),
    [
        (0, "6.6.6.6", "10.0.0.1", "10.0.0.1"),
        (1, "6.6.6.6, 7.7.7.7", "10.0.0.1", "7.7.7.7"),
        (2, "6.6.6.6, 7.7.7.7, 10.0.0.2", "10.0.0.1", "7.7.7.7"),
        (2, "7.7.7.7", "10.0.0.1", "10.0.0.1"),
        (1, "", "10.0.0.1", "10.0.0.1"),
        (1, "<script>", "10.0.0.1", "10.0.0.1"),
        (1, "2001:db8::1", "", "2001:db8::1"),
        (0, "", "", "127.0.0.1"),
    ],
)
def test_client_address_comes_from_the_outermost_proxy(
    settings: Settings, proxies: int, forwarded: str, caller: str, address: str
) -> None:
    settings.TRUSTED_PROXIES = proxies
    request = RequestFactory().get("/", headers={"X-Forwarded-For": forwarded}, REMOTE_ADDR=caller)

    assert client_address(request) == address


def test_untrusted_proxy_is_logged_once(settings: Settings) -> None:
    warn_of_untrusted_proxy.cache_clear()
    settings.TRUSTED_PROXIES = 0
    request = RequestFactory().get("/", headers={"X-Forwarded-For": "6.6.6.6"})
    with capture_logs() as logs:
        client_address(request)
        client_address(request)
        client_address(RequestFactory().get("/"))
    assert [entry["log_level"] for entry in logs] == ["warning"]


def test_flood_does_not_evict_rate_limits_from_the_cache() -> None:
    cache.set("limit", "holds")
    for number in range(400):
        cache.set(f"flood:{number}", "x")

    assert cache.get("limit") == "holds"
