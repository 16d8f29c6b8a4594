"""API tokens: issued for a password, shown once, revoked at once."""

from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.utils.timezone import now
from pytest_django import Settings

from accounts.models import ApiToken, Scope, User
from tests import factories
from tests.conftest import ApiClient
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db


def issue(email: str = "alice@example.org", password: str = PASSWORD, **fields: Any) -> Any:
    body = {"email": email, "password": password, **fields}
    return ApiClient().post("/tokens", body, content_type="application/json")


def with_token(token: str) -> ApiClient:
    client = ApiClient()
    client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    return client


def test_password_is_exchanged_for_a_working_token(alice: User) -> None:
    response = issue(" Alice@Example.org", name="Nightly import")

    assert response.status_code == 201
    assert set(response.json()) == {"id", "name", "token", "expires_at"}
    assert response.json()["name"] == "Nightly import"
    assert with_token(response.json()["token"]).get("/users/me").json()["id"] == alice.pk


def test_token_secret_is_stored_nowhere(alice: User) -> None:
    secret = issue().json()["token"]

    row = ApiToken.objects.values().get()
    assert secret not in row.values()
    assert row["digest"] == ApiToken.digest_of(secret)
    assert secret not in str(with_token(secret).get("/tokens").json())


@pytest.mark.parametrize(("email", "password"), [("alice@example.org", "wrong"), ("nobody@example.org", PASSWORD)])
def test_wrong_credentials_get_the_same_401(alice: User, email: str, password: str) -> None:
    response = issue(email, password)

    assert response.status_code == 401
    assert response.json() == {"detail": "Wrong e-mail address or password."}


def test_a_deactivated_user_gets_no_token(alice: User) -> None:
    alice.is_active = False
    alice.save()

    assert issue().status_code == 401


def test_password_guessing_is_rate_limited(alice: User) -> None:
    for _ in range(5):
        assert issue(password="wrong").status_code == 401

    response = issue()

    assert response.status_code == 429
    assert response["Retry-After"] == "300"


def test_an_unconfirmed_address_gets_no_token_where_confirmation_is_mandatory(alice: User, settings: Settings) -> None:
    settings.EMAIL_VERIFICATION = "mandatory"

    assert issue().status_code == 403
    assert "Confirm your e-mail" in issue().json()["detail"]

    EmailAddress.objects.create(user=alice, email=alice.email, verified=True, primary=True)
    assert issue().status_code == 201


@pytest.mark.parametrize(
    "fields", [{"name": "x" * 101}, {"name": "a\0b"}, {"email": "a\0b"}, {"password": ""}, {"scope": "all"}]
)
def test_a_malformed_request_is_refused(fields: dict[str, str]) -> None:
    assert issue(**fields).status_code == 422


def test_users_list_their_own_tokens(alice: User, bob: User) -> None:
    ApiToken.issue(bob, "Bob's")
    client = ApiClient(alice)
    ApiToken.issue(alice, "Second")

    body = client.get("/tokens").json()

    assert [row["name"] for row in body["items"]] == ["Second", ""]
    assert set(body["items"][0]) == {
        "id",
        "name",
        "prefix",
        "scopes",
        "created_at",
        "expires_at",
        "last_used_at",
        "revoked_at",
    }
    assert body["items"][0]["last_used_at"] is None
    assert body["items"][1]["last_used_at"] is not None
    assert body["next"] is None


def test_revoked_token_is_refused(alice: User) -> None:
    client = ApiClient(alice)
    token = ApiToken.objects.get(user=alice)

    assert client.delete(f"/tokens/{token.pk}").status_code == 204
    assert client.get("/users/me").status_code == 401


def test_users_cannot_revoke_tokens_of_others(alice: User, admin: User) -> None:
    token, _ = ApiToken.issue(alice)

    assert ApiClient(admin).delete(f"/tokens/{token.pk}").status_code == 403
    assert ApiClient(admin).delete("/tokens/999999").status_code == 404
    assert ApiToken.objects.filter(pk=token.pk).exists()


def test_expired_token_is_refused(alice: User) -> None:
    client = ApiClient(alice)
    ApiToken.objects.update(expires_at=now() - timedelta(seconds=1))

    assert client.get("/users/me").status_code == 401


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer nonsense", "Basic YTpi", "Bearer \u00ff"])
def test_a_bad_authorization_gets_401(db: None, header: str) -> None:
    client = ApiClient()
    client.defaults["HTTP_AUTHORIZATION"] = header

    response = client.get("/tokens")

    assert response.status_code == 401
    assert "detail" in response.json()


def test_last_use_is_updated_once_a_minute(alice: User) -> None:
    client = ApiClient(alice)
    client.get("/users/me")
    first = ApiToken.objects.get().last_used_at
    assert first is not None
    client.get("/users/me")

    assert ApiToken.objects.get().last_used_at == first

    ApiToken.objects.update(last_used_at=first - timedelta(minutes=2))
    client.get("/users/me")
    used = ApiToken.objects.get().last_used_at
    assert used is not None
    assert used >= first


def test_token_is_limited_to_its_scopes(alice: User) -> None:
    body = {"phone": "79161234567", "text": "Your code is 4711."}
    launched = {"name": "Sale", "text": "Sale", "ends_at": "2099-01-01T00:00:00Z"}
    answers = {}
    for scope in Scope.values:
        client = with_token(issue(scopes=[scope]).json()["token"])
        answers[scope] = [
            client.get("/contacts").status_code,
            client.post("/contacts", {"phone": "12"}, content_type="application/json").status_code,
            client.post("/messages", body, content_type="application/json").status_code,
            client.post("/campaigns", launched, content_type="application/json").status_code,
            client.post("/campaigns", launched | {"status": "draft"}, content_type="application/json").status_code,
        ]
    assert answers == {
        "read": [200, 403, 403, 403, 403],
        "write": [403, 422, 403, 403, 201],
        "send": [403, 403, 202, 403, 403],
    }


def test_launching_a_draft_requires_the_send_scope(alice: User) -> None:
    campaign = factories.campaign(alice, draft=True)
    for scopes, status in ((["write"], 403), (["write", "send"], 200)):
        client = with_token(issue(scopes=scopes).json()["token"])
        answer = client.patch(f"/campaigns/{campaign.pk}", {"status": "scheduled"}, content_type="application/json")
        assert answer.status_code == status
        assert status == 200 or "“send”" in answer.json()["detail"]


def test_token_expiry_can_be_chosen(alice: User) -> None:
    tomorrow = (now() + timedelta(days=1)).replace(microsecond=0)
    assert issue(expires_at=tomorrow.isoformat()).json()["expires_at"] == tomorrow.isoformat().replace("+00:00", "Z")
    for bad in (now() - timedelta(days=1), now() + timedelta(days=6 * 365)):
        assert issue(expires_at=bad.isoformat()).status_code == 422
    for strange in ("2027-01-01T00:00:00", 5, "9999-12-31T23:59:59Z", "never"):
        assert issue(expires_at=strange).status_code == 422


@pytest.mark.parametrize("scopes", [[], ["all"], ["read"] * 9, "read", None])
def test_unknown_scopes_are_refused(alice: User, scopes: object) -> None:
    assert issue(scopes=scopes).status_code == 422


def test_a_revoked_token_stays_on_the_list(alice: User) -> None:
    client, (token, _secret) = ApiClient(alice), ApiToken.issue(alice)
    client.delete(f"/tokens/{token.pk}")
    shown = client.get("/tokens").json()["items"][0]
    assert (shown["id"], shown["revoked_at"] is not None) == (token.pk, True)
