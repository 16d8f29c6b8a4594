"""The account page and the administrators' list of users."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils.timezone import now

from accounts.models import ApiToken, User
from tests.conftest import ApiClient
from tests.factories import PASSWORD, user

SETTINGS = {"first_name": "Алиса", "last_name": "", "timezone": "Asia/Omsk", "language": "ru"}


@pytest.fixture
def as_alice(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


@pytest.fixture
def as_admin(client: Client, admin: User) -> Client:
    client.force_login(admin)
    return client


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/account/", "/users/"])
def test_anonymous_users_are_redirected_to_sign_in(client: Client, path: str) -> None:
    response = client.get(path)

    assert response.status_code == 302
    assert response["Location"] == f"/accounts/login/?next={path}"


def test_users_change_their_settings(as_alice: Client, alice: User) -> None:
    assert as_alice.post("/account/", SETTINGS).status_code == 302

    alice.refresh_from_db()
    assert (alice.first_name, alice.timezone, alice.language, alice.daily_report) == ("Алиса", "Asia/Omsk", "ru", False)


def test_invalid_setting_shows_a_field_error_and_changes_nothing(as_alice: Client, alice: User) -> None:
    response = as_alice.post("/account/", SETTINGS | {"first_name": "R2D2", "timezone": "Mars/Olympus"})

    content = response.content.decode()
    assert 'aria-describedby="id_first_name_error"' in content
    assert 'id="id_first_name_error"' in content
    assert "Mars/Olympus" in content
    assert "<span>Alice</span>" in content  # the navigation still shows the stored name
    alice.refresh_from_db()
    assert alice.first_name == "Alice"


def test_settings_form_ignores_rights(as_alice: Client, alice: User) -> None:
    as_alice.post("/account/", SETTINGS | {"is_staff": "on", "email": "eve@example.org"})

    alice.refresh_from_db()
    assert not alice.is_staff
    assert alice.email == "alice@example.org"


def test_creating_a_token_requires_reauthentication(as_alice: Client, alice: User) -> None:
    asked = as_alice.post("/account/tokens/", {"name": "CRM", "scopes": ["read"], "days": "1825"})
    assert asked["Location"].startswith("/accounts/reauthenticate/")
    assert not ApiToken.objects.exists()

    wrong = as_alice.post(asked["Location"], {"password": "wrong"})
    assert wrong.status_code == 200
    assert not ApiToken.objects.exists()

    shown = as_alice.post(asked["Location"], {"password": PASSWORD, "next": "/account/tokens/"}, follow=True)
    assert "Copy the token now" in shown.content.decode()
    assert ApiToken.objects.get().name == "CRM"


def test_a_token_is_shown_once(as_alice: Client, alice: User) -> None:
    as_alice.post("/accounts/reauthenticate/", {"password": PASSWORD})
    response = as_alice.post("/account/tokens/", {"name": "CRM", "scopes": ["read", "send"], "days": "30"})

    secret = response.context["secret"]
    assert secret in response.content.decode()
    assert "no-store" in response["Cache-Control"]
    token = ApiToken.objects.get(user=alice)
    assert (token.digest, token.scopes) == (ApiToken.digest_of(secret), ["read", "send"])
    assert token.expires_at - now() == pytest.approx(timedelta(days=30), abs=timedelta(minutes=1))

    again = as_alice.get("/account/").content.decode()
    assert "CRM" in again
    assert secret not in again


def test_invalid_name_creates_no_token(as_alice: Client) -> None:
    as_alice.post("/accounts/reauthenticate/", {"password": PASSWORD})
    response = as_alice.post("/account/tokens/", {"name": "x" * 101})

    assert "id_name_error" in response.content.decode()
    assert not ApiToken.objects.exists()


def test_users_revoke_their_own_tokens_only(as_alice: Client, alice: User, bob: User) -> None:
    mine, _ = ApiToken.issue(alice)
    theirs, _ = ApiToken.issue(bob)

    assert as_alice.post(f"/account/tokens/{mine.pk}/revoke/").status_code == 302
    assert as_alice.post(f"/account/tokens/{theirs.pk}/revoke/").status_code == 403

    assert list(ApiToken.objects.filter(revoked_at=None)) == [theirs]
    assert "Revoked" in as_alice.get("/account/").content.decode()


def test_an_account_is_deactivated_by_its_user(as_alice: Client, alice: User) -> None:
    api = ApiClient(alice)

    assert "style=" not in as_alice.get("/account/deactivate/").content.decode()
    wrong = as_alice.post("/account/deactivate/", {"password": "wrong"}).content.decode()
    assert 'id="id_password_error"' in wrong
    assert api.get("/users/me").status_code == 200

    response = as_alice.post("/account/deactivate/", {"password": PASSWORD}, follow=True)

    assert "Your account is deactivated" in response.content.decode()
    assert as_alice.get("/account/").status_code == 302
    assert api.get("/users/me").status_code == 401


def test_last_administrator_cannot_deactivate_themselves(as_admin: Client, admin: User) -> None:
    response = as_admin.post("/account/deactivate/", {"password": PASSWORD}, follow=True)

    assert "last active administrator" in response.content.decode()
    admin.refresh_from_db()
    assert admin.is_active


def test_get_requests_change_nothing(as_alice: Client, alice: User) -> None:
    token, _ = ApiToken.issue(alice)
    for path in ("/account/tokens/", f"/account/tokens/{token.pk}/revoke/"):
        assert as_alice.get(path).status_code == 405


def test_only_administrators_see_the_users(as_alice: Client, bob: User) -> None:
    assert as_alice.get("/users/").status_code == 403
    assert as_alice.post(f"/users/{bob.pk}/deactivate/").status_code == 403
    assert 'href="/users/"' not in as_alice.get("/account/").content.decode()


def test_administrators_find_users_by_name_and_address(as_admin: Client, alice: User, bob: User) -> None:
    user("zoe@example.org", first_name="Zoe", last_name="Alison")

    def found(query: str) -> set[str]:
        return {row.email for row in as_admin.get("/users/", {"q": query}).context["page"].items}

    assert found("ali") == {"alice@example.org", "zoe@example.org"}
    assert found("zoe alison") == {"zoe@example.org"}
    assert found("nobody") == set()
    assert len(found("")) == 4


@pytest.mark.parametrize("cursor", ["x", "-1", "9" * 40, "²", ""])
def test_invalid_cursor_is_ignored(as_admin: Client, cursor: str) -> None:
    assert as_admin.get("/users/", {"cursor": cursor}).status_code == 200


def test_page_has_fifty_users(as_admin: Client) -> None:
    User.objects.bulk_create(User(email=f"user{number}@example.org") for number in range(60))

    first = as_admin.get("/users/?q=user").context["page"]
    assert len(first.items) == 50
    assert f"q=user&amp;cursor={first.next}" in as_admin.get("/users/?q=user").content.decode()
    assert len(as_admin.get(f"/users/?q=user&cursor={first.next}").context["page"].items) == 10


def test_administrators_change_rights(as_admin: Client, alice: User) -> None:
    for action, field, value in [
        ("promote", "is_staff", True),
        ("demote", "is_staff", False),
        ("deactivate", "is_active", False),
        ("activate", "is_active", True),
    ]:
        assert as_admin.post(f"/users/{alice.pk}/{action}/").status_code == 302
        alice.refresh_from_db()
        assert getattr(alice, field) is value
    assert as_admin.post(f"/users/{alice.pk}/rename/").status_code == 404


def test_change_of_rights_can_be_undone(as_admin: Client, alice: User) -> None:
    for action, undo in (("promote", "demote"), ("demote", "promote"), ("deactivate", "activate")):
        page = as_admin.post(f"/users/{alice.pk}/{action}/", follow=True).content.decode()
        assert f'action="/users/{alice.pk}/{undo}/"' in page.split('id="toasts"')[1], action


def test_administrator_who_demotes_themselves_is_redirected_home(as_admin: Client, admin: User, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    answer = as_admin.post(f"/users/{admin.pk}/demote/", follow=True)
    assert answer.redirect_chain[-1] == ("/", 302)
    assert "no longer an administrator" in answer.content.decode()
    assert "Undo" not in answer.content.decode()


def test_the_last_administrator_can_not_demote_themselves(as_admin: Client, admin: User) -> None:
    response = as_admin.post(f"/users/{admin.pk}/demote/", follow=True)

    assert "last active administrator" in response.content.decode()
    admin.refresh_from_db()
    assert admin.is_staff


def test_deactivation_ends_sessions_at_once(as_alice: Client, alice: User) -> None:
    assert as_alice.get("/account/").status_code == 200

    User.objects.filter(pk=alice.pk).update(is_active=False)

    assert as_alice.get("/account/").status_code == 302


def test_htmx_request_after_session_end_redirects_to_sign_in(client: Client, db: None) -> None:
    response = client.get(
        "/users/?q=a", headers={"HX-Request": "true", "HX-Current-URL": "http://testserver/users/?q="}
    )

    assert response.status_code == 200
    assert response["HX-Redirect"] == "/accounts/login/?next=%2Fusers%2F%3Fq%3D"


def test_pages_use_the_users_time_zone_and_language(as_alice: Client, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(language="ru", timezone="Asia/Vladivostok")
    token, _ = ApiToken.issue(alice)
    ApiToken.objects.filter(pk=token.pk).update(last_used_at=now() - timedelta(minutes=5))

    content = as_alice.get("/account/").content.decode()

    assert '<html lang="ru">' in content
    assert "+10:00" in content


def test_django_admin_signs_in_through_allauth(client: Client, admin: User, alice: User) -> None:
    assert client.get("/admin/login/?next=/admin/")["Location"].startswith("/accounts/login/?next=")
    client.force_login(alice)
    assert client.get("/admin/login/").status_code == 403
    client.force_login(admin)
    User.objects.filter(pk=admin.pk).update(is_superuser=True)
    for path in ("/admin/accounts/user/", f"/admin/accounts/user/{alice.pk}/change/", "/admin/accounts/apitoken/"):
        assert client.get(path).status_code == 200
    assert client.get(f"/admin/accounts/user/{alice.pk}/delete/").status_code == 403


def test_pages_have_no_inline_script_or_style(as_alice: Client) -> None:
    response = as_alice.get("/account/")

    content = response.content.decode()
    assert "style=" not in content
    assert "onclick" not in content
    assert content.count("<script") == content.count("<script src=")
    assert "unsafe" not in response["Content-Security-Policy"]
