"""Sign-in by OpenID Connect against a real provider. tests/browser/test_accounts.py tests it in a browser."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.test import Client
from pytest_django import Settings

from accounts.models import SignIn, User
from accounts.sign_in import invitations
from tests.factories import PASSWORD
from tests.provider import Provider, running_provider

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def running() -> Iterator[Provider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture
def provider(running: Provider, settings: Settings) -> Provider:
    app = {"provider_id": "oidc", "name": "Office", "client_id": "vestnik", "secret": "a secret of both"}
    apps = [{**app, "settings": {"server_url": running.url}}]
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": apps}}
    return running


def come(client: Client, name: str, process: str = "login") -> Any:
    """Press the button, sign in at the provider as `name`, and return the answer to the callback."""
    away = client.post(f"/accounts/oidc/oidc/login/?process={process}")["Location"]
    assert "code_challenge_method=S256" in away
    back = requests.post(away, data={"sub": name}, allow_redirects=False, timeout=10).headers["Location"]
    parts = urlsplit(back)
    return client.get(f"{parts.path}?{parts.query}")


def signed_in(client: Client) -> bool:
    return client.get("/account/").status_code == 200


def confirmed(user: User) -> User:
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return user


def test_button_is_shown_only_with_a_configured_provider(
    client: Client, provider: Provider, settings: Settings
) -> None:
    assert "Continue with Office" in client.get("/accounts/login/").content.decode()
    settings.SOCIALACCOUNT_PROVIDERS = {}
    assert "Continue with" not in client.get("/accounts/login/").content.decode()
    assert client.post("/accounts/oidc/oidc/login/").status_code == 404


def test_new_user_gets_an_account_from_the_providers_claims(client: Client, provider: Provider) -> None:
    provider.person("zoe", email="Zoe@example.org")

    assert come(client, "zoe")["Location"] == "/"

    zoe = User.objects.get()
    assert (zoe.email, str(zoe), zoe.has_usable_password()) == ("zoe@example.org", "Zoe Kim", False)
    assert signed_in(client)
    assert SignIn.objects.get().methods == ["socialaccount"]
    again = Client()
    come(again, "zoe")
    assert signed_in(again)
    assert User.objects.count() == 1


@pytest.mark.parametrize("names", [{"given_name": "R2D2"}, {"given_name": "", "family_name": ""}])
def test_invalid_names_are_asked_for(client: Client, provider: Provider, names: dict[str, str]) -> None:
    provider.person("robot", email="robot@example.org", **names)

    form = client.get(come(client, "robot")["Location"])
    assert "style=" not in form.content.decode()
    assert not User.objects.exists()
    client.post("/accounts/3rdparty/signup/", {"email": "robot@example.org", "first_name": "Ro", "last_name": "Bot"})

    assert str(User.objects.get()) == "Ro Bot"
    assert signed_in(client)


def test_closed_sign_up_applies_to_the_provider(client: Client, provider: Provider, settings: Settings) -> None:
    settings.OPEN_SIGNUP = False
    provider.person("stranger", email="stranger@example.org")

    assert "Sign-up is closed" in come(client, "stranger").content.decode()
    assert not User.objects.exists()


def test_account_is_linked_if_both_sides_confirmed_the_address(client: Client, provider: Provider, alice: User) -> None:
    confirmed(alice)
    provider.person("alice", email="Alice@example.org")

    come(client, "alice")

    assert SocialAccount.objects.get().user == alice
    assert signed_in(client)
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)


@pytest.mark.parametrize("ours", [True, False])
def test_unconfirmed_address_links_no_account(client: Client, provider: Provider, alice: User, ours: bool) -> None:
    EmailAddress.objects.create(user=alice, email=alice.email, verified=ours, primary=True)
    provider.person(f"mallory{ours}", email=alice.email, email_verified=not ours)

    come(client, f"mallory{ours}")

    assert not SocialAccount.objects.exists()
    assert not signed_in(client)


def test_pending_change_to_an_address_does_not_link_its_owner(
    client: Client, provider: Provider, alice: User, bob: User
) -> None:
    confirmed(alice)
    EmailAddress.objects.create(user=alice, email=bob.email, verified=False)
    provider.person("bob", email=bob.email)

    come(client, "bob")

    assert not SocialAccount.objects.exists()
    assert not signed_in(client)


def test_second_factor_is_still_required(client: Client, provider: Provider, alice: User) -> None:
    Authenticator.objects.create(user=confirmed(alice), type="totp", data={"secret": ""})
    provider.person("alice2", email=alice.email)

    assert come(client, "alice2")["Location"] == "/accounts/2fa/authenticate/"
    assert not signed_in(client)


def test_deactivated_user_cannot_sign_in_through_the_provider(client: Client, provider: Provider, alice: User) -> None:
    confirmed(alice)
    User.objects.update(is_active=False)
    provider.person("alice3", email=alice.email)

    assert come(client, "alice3")["Location"] == "/accounts/inactive/"
    assert not signed_in(client)


def test_invited_user_signs_in_through_the_provider(
    client: Client, provider: Provider, admin: User, settings: Settings
) -> None:
    settings.OPEN_SIGNUP = False
    client.force_login(admin)
    client.post("/users/invite/", {"email": "new@example.org"})
    client.logout()
    zoe = User.objects.invited().get()
    old = invitations.link_of(zoe)
    provider.person("new", email="new@example.org")

    come(client, "new")

    zoe.refresh_from_db()
    assert (zoe.is_active, zoe.invited_at, str(zoe)) == (True, None, "Zoe Kim")
    assert signed_in(client)
    assert "no longer works" in Client().get(urlsplit(old).path).content.decode()


def test_external_account_is_connected_and_disconnected(client: Client, provider: Provider, alice: User) -> None:
    provider.person("other", email="other@example.org")
    client.force_login(alice)
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})

    come(client, "other", process="connect")
    row = SocialAccount.objects.get()
    assert row.user == alice
    assert "Office" in client.get("/accounts/3rdparty/").content.decode()

    client.post("/accounts/3rdparty/", {"account": row.pk})
    assert not SocialAccount.objects.exists()


def test_cancelled_sign_in_shows_that_nothing_changed(client: Client, provider: Provider) -> None:
    away = client.post("/accounts/oidc/oidc/login/")["Location"]
    back = requests.post(away, data={"action": "deny"}, allow_redirects=False, timeout=10).headers["Location"]

    page = client.get(f"{urlsplit(back).path}?{urlsplit(back).query}", follow=True).content.decode()

    assert "did not" in page
    assert "css/vestnik.css" in page


@pytest.mark.parametrize("query", ["", "?code=x", "?code=x&state=y", "?error=oops&state=%00"])
def test_forged_callback_signs_nobody_in(client: Client, provider: Provider, query: str) -> None:
    answer = client.get(f"/accounts/oidc/oidc/login/callback/{query}")

    assert answer.status_code in (200, 302, 401)
    assert not signed_in(client)


def test_unreachable_provider_is_reported(client: Client, provider: Provider, settings: Settings) -> None:
    app = settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"][0]
    app["settings"] = {"server_url": "http://127.0.0.1:9"}

    answer = client.post("/accounts/oidc/oidc/login/", follow=True)

    assert "External sign-in failed" in answer.content.decode()
