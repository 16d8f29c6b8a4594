"""Users through the JSON API."""

from typing import Any

import pytest
from django.core import mail
from pytest_django import Settings

from accounts.models import User
from tests.conftest import ApiClient
from tests.factories import PASSWORD, user

pytestmark = pytest.mark.django_db

CAROL = {"email": "Carol@Example.org", "password": PASSWORD, "first_name": "Carol", "last_name": "O'Neil-Кац"}


def register(**changes: Any) -> Any:
    return ApiClient().post("/users", CAROL | changes, content_type="application/json")


def patch(by: User, target: User, **changes: Any) -> Any:
    return ApiClient(by).patch(f"/users/{target.pk}", changes, content_type="application/json")


def wrong_fields(response: Any) -> set[str]:
    assert response.status_code == 422
    return {error["loc"][-1] for error in response.json()["detail"]}


@pytest.mark.django_db(transaction=True)  # the e-mail is sent after the commit
def test_anyone_signs_up_and_gets_a_confirmation_email() -> None:
    response = register()

    assert response.status_code == 201
    carol = User.objects.get()
    assert response.json() == {
        "id": carol.pk,
        "email": "carol@example.org",
        "first_name": "Carol",
        "last_name": "O'Neil-Кац",
        "timezone": "Europe/Moscow",
        "language": "en",
        "daily_report": True,
        "weekly_report": False,
        "empty_reports": False,
        "monthly_budget": None,
        "is_staff": False,
        "is_active": True,
        "date_joined": response.json()["date_joined"],
    }
    assert carol.check_password(PASSWORD)
    assert [letter.to for letter in mail.outbox] == [["carol@example.org"]]
    assert "http://localhost:8000/accounts/confirm-email/" in mail.outbox[0].body


@pytest.mark.django_db(transaction=True)  # the e-mail is sent after the commit
def test_anyone_registers_while_the_mail_server_is_down(settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1

    response = register()

    assert response.status_code == 201
    assert not response.cookies


def test_sign_up_is_refused_while_closed(settings: Settings) -> None:
    settings.OPEN_SIGNUP = False

    assert register().status_code == 403
    assert not User.objects.exists()


def test_address_signs_up_once_ignoring_case(alice: User) -> None:
    assert wrong_fields(register(email="ALICE@example.org")) == {"email"}
    assert User.objects.count() == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "nobody"),
        ("email", ""),
        ("email", "a" * 250 + "@example.org"),
        ("password", ""),
        ("password", "12345678"),
        ("password", "carol@example.org"),
        ("password", "correct horse \ud800"),
        ("first_name", ""),
        ("first_name", "R2D2"),
        ("first_name", "Ca\0rol"),
        ("first_name", "\ud800"),
        ("last_name", None),
        ("last_name", "x" * 151),
        ("is_staff", True),
    ],
)
def test_sign_up_names_the_invalid_field(field: str, value: Any) -> None:
    assert wrong_fields(register(**{field: value})) == {field}
    assert not User.objects.exists()


def test_all_errors_are_reported_together() -> None:
    assert wrong_fields(register(email="nobody", password="short", first_name="1")) == {
        "email",
        "password",
        "first_name",
    }


def test_sign_ups_per_minute_are_limited() -> None:
    for _ in range(20):
        register(email="nobody")

    response = register()

    assert response.status_code == 429
    assert response["Retry-After"] == "60"


def test_users_are_hidden_without_a_token(alice: User) -> None:
    for path in ("/users", "/users/me", f"/users/{alice.pk}"):
        assert ApiClient().get(path).status_code == 401


def test_users_see_themselves_and_nobody_else(alice: User, bob: User) -> None:
    client = ApiClient(alice)

    assert client.get("/users/me").json()["email"] == "alice@example.org"
    assert client.get(f"/users/{alice.pk}").json() == client.get("/users/me").json()
    assert client.get(f"/users/{bob.pk}").status_code == 403
    assert client.get("/users").status_code == 403
    assert client.get("/users/99999").status_code == 404
    assert client.get(f"/users/{10**30}").status_code == 422


def test_administrators_page_through_everyone(admin: User) -> None:
    for _ in range(4):
        user()
    client = ApiClient(admin)

    first = client.get("/users?limit=3").json()
    second = client.get(f"/users?limit=3&cursor={first['next']}").json()

    seen = [row["id"] for row in first["items"] + second["items"]]
    assert seen == list(User.objects.order_by("-pk").values_list("pk", flat=True))
    assert second["next"] is None
    assert client.get("/users?limit=501").status_code == 422


def test_users_change_their_own_settings(alice: User) -> None:
    response = patch(alice, alice, first_name="Алиса", timezone="Asia/Omsk", language="ru", daily_report=False)

    assert response.status_code == 200
    alice.refresh_from_db()
    assert (alice.first_name, alice.timezone, alice.language, alice.daily_report) == ("Алиса", "Asia/Omsk", "ru", False)
    assert (alice.email, alice.is_active) == ("alice@example.org", True)


def test_an_empty_change_changes_nothing(alice: User) -> None:
    assert patch(alice, alice).json() == ApiClient(alice).get("/users/me").json()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("timezone", "Mars/Olympus"),
        ("timezone", ""),
        ("language", "xx"),
        ("first_name", "<b>"),
        ("first_name", "\ud800"),
        ("first_name", None),
        ("daily_report", "perhaps"),
        ("email", "other@example.org"),
    ],
)
def test_invalid_change_names_its_field(alice: User, field: str, value: Any) -> None:
    assert wrong_fields(patch(alice, alice, **{field: value})) == {field}


def test_users_cannot_change_their_own_rights(alice: User) -> None:
    assert patch(alice, alice, is_staff=True).status_code == 403
    assert patch(alice, alice, is_active=True).status_code == 403
    alice.refresh_from_db()
    assert not alice.is_staff


def test_only_administrators_set_a_monthly_budget(admin: User, alice: User) -> None:
    assert patch(admin, alice, monthly_budget="100.5").json()["monthly_budget"] == "100.50"
    assert ApiClient(alice).get("/users/me").json()["monthly_budget"] == "100.50"
    assert patch(alice, alice, monthly_budget=None).status_code == 403
    for invalid in (-1, "0.0000001", 10**10, "much"):
        assert wrong_fields(patch(admin, alice, monthly_budget=invalid)) == {"monthly_budget"}
    assert patch(admin, alice, monthly_budget=None).json()["monthly_budget"] is None


def test_users_cannot_change_other_users(alice: User, bob: User) -> None:
    assert patch(alice, bob, first_name="Eve").status_code == 403
    assert ApiClient(alice).delete(f"/users/{bob.pk}").status_code == 403
    bob.refresh_from_db()
    assert (bob.first_name, bob.is_active) == ("Bob", True)


def test_administrators_grant_and_revoke_rights(admin: User, alice: User) -> None:
    assert patch(admin, alice, is_staff=True).json()["is_staff"] is True
    assert patch(alice, admin, is_staff=False).json()["is_staff"] is False


def test_last_active_administrator_cannot_be_removed(admin: User) -> None:
    user("former@example.org", is_staff=True, is_active=False)

    assert patch(admin, admin, is_staff=False).status_code == 409
    assert patch(admin, admin, is_active=False).status_code == 409
    assert ApiClient(admin).delete(f"/users/{admin.pk}").status_code == 409
    admin.refresh_from_db()
    assert admin.is_staff
    assert admin.is_active


def test_delete_deactivates_and_ends_tokens_at_once(alice: User) -> None:
    client = ApiClient(alice)

    assert client.delete(f"/users/{alice.pk}").status_code == 204

    assert client.get("/users/me").status_code == 401
    alice.refresh_from_db()
    assert not alice.is_active


def test_administrators_reactivate_users(admin: User, alice: User) -> None:
    client = ApiClient(alice)
    ApiClient(admin).delete(f"/users/{alice.pk}")

    assert patch(admin, alice, is_active=True).status_code == 200
    assert client.get("/users/me").status_code == 401
    assert ApiClient(alice).get("/users/me").status_code == 200
