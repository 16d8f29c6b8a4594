"""Answers of an OpenID provider: claims of any JSON type, nonce, issuer, discovery."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount, SocialApp
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from django.db import IntegrityError
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from accounts.sign_in.oidc import OidcProvider, discovery_of, token_answer_of, trusted_claims
from tests.accounts.sign_in.test_forms import CAROL
from tests.provider import Provider, running_provider

pytestmark = pytest.mark.django_db
ANY_JSON: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    -1.5,
    "",
    "x",
    "\0",
    "\ud800",
    "x" * 100_000,
    [],
    ["a@b.org"],
    {},
    {"a": 1},
]


@pytest.fixture(scope="module")
def running() -> Iterator[Provider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture
def app(running: Provider, settings: Settings) -> dict[str, Any]:
    """The provider's settings; a test can change them."""
    app = {"provider_id": "oidc", "name": "Office", "client_id": "vestnik", "secret": "a secret of both"}
    app["settings"] = {"server_url": running.url}  # type: ignore[assignment]
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": [app]}}
    return app


def away(client: Client) -> dict[str, str]:
    """Press the button, and return the parameters of the request to the provider, with its URL as `""`."""
    parts = urlsplit(client.post("/accounts/oidc/oidc/login/")["Location"])
    return {
        "": parts._replace(query="").geturl(),
        **{name: values[0] for name, values in parse_qs(parts.query).items()},
    }


def come(client: Client, name: str, asked: Callable[[dict[str, str]], Any] = dict, **answered: str) -> Any:
    """Sign in as `name`. `asked` may change the request, `answered` the answer through the browser."""
    parameters = away(client)
    address = parameters.pop("")
    asked(parameters)
    sent = requests.post(f"{address}?{urlencode(parameters)}", data={"sub": name}, allow_redirects=False, timeout=10)
    back = urlsplit(sent.headers["Location"])
    query = {name: values[0] for name, values in parse_qs(back.query).items()} | answered
    return client.get(f"{back.path}?{urlencode(query)}")


def signed_in(client: Client) -> bool:
    return client.get("/account/").status_code == 200


def confirmed(user: User) -> User:
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return user


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize(
    "verified", [*ANY_JSON[:1], *ANY_JSON[2:8], "false", "True", "TRUE", "yes", "1", [True], {"a": True}]
)
def test_only_true_means_a_verified_address(client: Client, running: Provider, admin: User, verified: Any) -> None:
    confirmed(admin)
    running.person("mallory", email=admin.email, email_verified=verified)

    assert come(client, "mallory").status_code in (200, 302)

    assert not SocialAccount.objects.exists()
    assert not signed_in(client)
    assert User.objects.count() == 1


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("verified", [True, "true"])
def test_a_verified_address_signs_in(client: Client, running: Provider, alice: User, verified: Any) -> None:
    confirmed(alice)
    running.person("alice", email=alice.email, email_verified=verified)

    come(client, "alice")

    assert signed_in(client)


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize(
    "claim", ["email", "email_verified", "given_name", "family_name", "name", "preferred_username"]
)
def test_claims_of_any_type_are_handled(client: Client, running: Provider, claim: str) -> None:
    for number, value in enumerate(ANY_JSON):
        if value == "\ud800":
            continue  # the mock itself can't store it; see test_claims_of_wrong_types_are_dropped
        name = f"{claim}{number}"
        running.person(name, **{"email": f"{name}@example.org", claim: value})

        assert come(Client(), name).status_code in (200, 302), value

    for user in User.objects.all():
        assert EmailAddress.objects.filter(user=user).exists()


@pytest.mark.usefixtures("app")
def test_account_is_created_completely_or_not_at_all(
    client: Client, running: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.person("zoe", email="zoe@example.org")

    def fail(*_args: Any, **_options: Any) -> None:
        raise IntegrityError

    monkeypatch.setattr(EmailAddress, "save", fail)
    with pytest.raises(IntegrityError):
        come(client, "zoe")

    assert not User.objects.exists()


def test_sign_up_page_creates_an_account_completely_or_not_at_all(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: Any, **_options: Any) -> None:
        raise IntegrityError

    monkeypatch.setattr(EmailAddress, "save", fail)
    with pytest.raises(IntegrityError):
        client.post("/accounts/signup/", CAROL)

    assert not User.objects.exists()


def test_an_issuer_with_a_trailing_slash_works(client: Client, running: Provider, app: dict[str, Any]) -> None:
    app["settings"]["server_url"] = f"{running.url}/"
    address = OidcProvider(None, app=SocialApp(**app)).server_url
    assert address == f"{running.url}/.well-known/openid-configuration"
    running.person("zoe", email="zoe@example.org")

    come(client, "zoe")

    assert signed_in(client)


@pytest.mark.usefixtures("app")
def test_an_answer_of_another_issuer_is_refused(client: Client, running: Provider) -> None:
    running.person("zoe", email="zoe@example.org")

    page = come(client, "zoe", iss="https://evil.example.org").content.decode()

    assert "External sign-in failed" in page
    assert not User.objects.exists()


@pytest.mark.usefixtures("app")
def test_answer_with_the_right_issuer_is_accepted(client: Client, running: Provider) -> None:
    running.person("zoe", email="zoe@example.org")

    come(client, "zoe", iss=running.url)

    assert signed_in(client)


def test_answer_without_promised_issuer_is_refused(client: Client, running: Provider, app: dict[str, Any]) -> None:
    promised = {"authorization_response_iss_parameter_supported": True}
    app["settings"]["openid_configuration_overrides"] = promised
    running.person("zoe", email="zoe@example.org")

    come(client, "zoe")

    assert not signed_in(client)


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("change", [lambda asked: asked.pop("nonce"), lambda asked: asked.update(nonce="another")])
def test_a_token_of_another_sign_in_is_refused(client: Client, running: Provider, change: Any) -> None:
    running.person("zoe", email="zoe@example.org")

    come(client, "zoe", change)

    assert not signed_in(client)
    assert not User.objects.exists()


@pytest.mark.usefixtures("app")
def test_every_sign_in_has_its_own_nonce(client: Client) -> None:
    assert away(client)["nonce"] != away(client)["nonce"]


def test_claims_of_wrong_types_are_dropped() -> None:
    for value in ANY_JSON:
        for claim in ("email", "given_name", "family_name", "name", "email_verified"):
            claims = trusted_claims({"sub": "1"}, {"sub": "1", claim: value})
            assert claims["email_verified"] is (claim == "email_verified" and value is True)
            assert all(isinstance(claims[name], str) for name in ("email", "given_name", "family_name", "name"))
            assert not [
                text for text in claims.values() if isinstance(text, str) and ("\0" in text or "\ud800" in text)
            ]


@pytest.mark.parametrize("subject", [*ANY_JSON[:7], *ANY_JSON[8:], "x" * 192])
def test_subject_that_is_not_text_is_refused(subject: Any) -> None:
    with pytest.raises(OAuth2Error):
        trusted_claims({"sub": subject}, {"sub": subject})


def test_claims_about_another_subject_are_refused() -> None:
    with pytest.raises(OAuth2Error):
        trusted_claims({"sub": "alice"}, {"sub": "bob", "email": "bob@example.org"})


@pytest.mark.parametrize("answer", ANY_JSON)
def test_malformed_json_answers_are_refused_with_a_message(answer: Any) -> None:
    with pytest.raises(OAuth2Error):
        discovery_of(answer)
    with pytest.raises(OAuth2Error):
        token_answer_of(answer)
    with pytest.raises(OAuth2Error):
        trusted_claims({"sub": "1"}, answer)
