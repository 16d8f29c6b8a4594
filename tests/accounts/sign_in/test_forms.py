"""Sign-up, sign-in, sign-out, password reset and confirmation of addresses."""

import re
from typing import Any
from urllib.parse import urlencode

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.test import Client
from django.urls import reverse
from pytest_django import Settings
from structlog.testing import capture_logs

from accounts.models import User
from tests.factories import PASSWORD
from tests.metric_values import counted

pytestmark = pytest.mark.django_db

CAROL = {
    "email": "Carol@example.org",
    "password1": PASSWORD,
    "password2": PASSWORD,
    "first_name": "Carol",
    "last_name": "Danvers",
}
NEW_PASSWORD = "another horse battery"


def sign_in(client: Client, password: str = PASSWORD, email: str = "alice@example.org") -> Any:
    return client.post("/accounts/login/", {"login": email, "password": password})


def enter(client: Client, user: User) -> None:
    """Sign in, and reauthenticate where a sensitive action requires it."""
    client.force_login(user)
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})


def link(letter: mail.EmailMessage) -> str:
    """The path of the only link in an e-mail."""
    found = re.search(r"http://localhost:8000(/\S+)", str(letter.body))
    assert found
    return found[1]


@pytest.mark.parametrize(
    "name",
    [
        "account_login",
        "account_signup",
        "account_logout",
        "account_inactive",
        "account_email",
        "account_email_verification_sent",
        "account_change_password",
        "account_set_password",
        "account_reauthenticate",
        "account_reset_password",
        "account_reset_password_done",
        "account_reset_password_from_key_done",
    ],
)
@pytest.mark.parametrize("signed_in", [False, True])
def test_every_page_uses_our_templates(client: Client, alice: User, name: str, signed_in: bool) -> None:
    if signed_in:
        client.force_login(alice)

    response = client.get(reverse(name))

    assert response.status_code in (200, 302)
    if response.status_code == 200:
        assert "css/vestnik.css" in response.content.decode()
        assert "style=" not in response.content.decode()


def test_language_chosen_before_sign_in_is_kept(client: Client) -> None:
    client.post("/i18n/setlang/", {"language": "ru", "next": "/accounts/login/"})
    assert '<html lang="ru">' in client.get("/accounts/login/").content.decode()
    client.post("/accounts/signup/", CAROL)
    assert User.objects.get().language == "ru"
    assert '<html lang="ru">' in client.get("/account/").content.decode()


def test_new_user_signs_up_and_is_signed_in(client: Client) -> None:
    response = client.post("/accounts/signup/", CAROL)

    assert response.status_code == 302
    carol = User.objects.get()
    assert (carol.email, carol.first_name, carol.last_name) == ("carol@example.org", "Carol", "Danvers")
    assert client.get("/account/").status_code == 200


@pytest.mark.parametrize(
    ("left", "back"),
    [
        ("http://localhost/campaigns/7/?status=failed", "/campaigns/7/?status=failed"),
        ("http://evil.example/campaigns/7/", "/"),
        ("", "/"),
    ],
)
def test_post_after_session_end_returns_to_its_page(client: Client, left: str, back: str) -> None:
    answer = client.post("/campaigns/7/launch/", headers={"Host": "localhost", "Referer": left})

    assert answer["Location"] == "/accounts/login/?" + urlencode({"next": back})


def test_signing_out_redirects_to_sign_in_and_drops_next(client: Client, alice: User) -> None:
    client.force_login(alice)
    assert client.post("/accounts/logout/", headers={"Referer": "http://testserver/"})["Location"] == "/accounts/login/"


@pytest.mark.usefixtures("alice")
@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("password/reset", {"email": "alice@example.org"}),
        ("password/reset", {"email": "nobody@example.org"}),
        ("signup", CAROL),
        ("signup", CAROL | {"email": "alice@example.org"}),
    ],
)
def test_email_links_use_the_public_url_for_any_host(
    client: Client, settings: Settings, path: str, data: dict[str, str]
) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    client.post(f"/accounts/{path}/", data, headers={"Host": "127.0.0.1"})

    (letter,) = mail.outbox
    assert "127.0.0.1" not in str(letter.body)
    assert link(letter).startswith("/accounts/")


@pytest.fixture
def dead_mail_server(settings: Settings) -> None:
    """An SMTP port that nobody listens on."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1


@pytest.mark.usefixtures("dead_mail_server")
def test_sign_up_without_mail_server_reports_the_missing_email(client: Client) -> None:
    with capture_logs() as logs:
        page = client.post("/accounts/signup/", CAROL, follow=True).content.decode()

    assert "e-mail not sent" in [entry["event"] for entry in logs if entry["log_level"] == "warning"]
    assert counted("vestnik_mails", "account", "failed") == 1
    assert User.objects.get().email == "carol@example.org"
    assert "no e-mail was sent" in page
    assert "Confirmation email sent" not in page


@pytest.mark.usefixtures("dead_mail_server", "alice")
@pytest.mark.parametrize("email", ["alice@example.org", "nobody@example.org"])
def test_password_reset_answers_alike_while_the_mail_server_is_down(client: Client, email: str) -> None:
    page = client.post("/accounts/password/reset/", {"email": email}, follow=True)

    assert page.status_code == 200
    assert "no e-mail was sent" in page.content.decode()


@pytest.mark.parametrize(
    ("field", "value"),
    [("first_name", "R2D2"), ("last_name", ""), ("email", "nobody"), ("password1", "12345678"), ("password2", "other")],
)
def test_sign_up_shows_field_errors(client: Client, field: str, value: str) -> None:
    response = client.post("/accounts/signup/", CAROL | {field: value})

    assert response.context["form"].errors.keys() == {field}
    assert f'id="id_{field}_error"' in response.content.decode()
    assert not User.objects.exists()


def test_sign_up_asks_for_the_name_first(client: Client) -> None:
    fields = list(client.get("/accounts/signup/").context["form"].fields)

    assert fields == ["first_name", "last_name", "email", "password1", "password2"]


def test_closed_sign_up_says_so(client: Client, settings: Settings) -> None:
    settings.OPEN_SIGNUP = False

    assert "Sign-up is closed" in client.get("/accounts/signup/").content.decode()
    client.post("/accounts/signup/", CAROL)
    assert not User.objects.exists()


def test_a_user_signs_in_by_e_mail_in_any_case_and_out(client: Client, alice: User) -> None:
    assert sign_in(client, email="ALICE@example.org")["Location"] == "/"
    assert client.get("/account/").status_code == 200

    assert client.post("/accounts/logout/")["Location"] == "/accounts/login/"
    assert client.get("/account/").status_code == 302


def test_wrong_password_is_reported_and_rate_limited(client: Client, alice: User) -> None:
    for _ in range(5):
        assert "not correct" in sign_in(client, "wrong").content.decode()

    assert "Too many" in sign_in(client).content.decode()


def test_failed_sign_ins_of_others_do_not_lock_out_the_owner(alice: User) -> None:
    stranger, owner = Client(REMOTE_ADDR="192.0.2.1"), Client(REMOTE_ADDR="192.0.2.2")
    for _ in range(6):
        sign_in(stranger, "wrong")
    assert "Too many" in sign_in(stranger).content.decode()
    assert sign_in(owner)["Location"] == "/"


def test_deactivated_user_sees_the_reason(client: Client, alice: User) -> None:
    User.objects.update(is_active=False)

    response = sign_in(client)

    assert response["Location"] == "/accounts/inactive/"
    assert "deactivated" in client.get(response["Location"]).content.decode()
    assert client.get("/account/").status_code == 302


def test_redirect_after_sign_in_stays_on_this_site(client: Client, alice: User) -> None:
    data = {"login": alice.email, "password": PASSWORD}

    assert client.post("/accounts/login/?next=/account/", data)["Location"] == "/account/"
    client.logout()
    assert client.post("/accounts/login/?next=https://evil.example/", data)["Location"] == "/"


def test_forgotten_password_is_reset_by_email(client: Client, alice: User) -> None:
    client.post("/accounts/password/reset/", {"email": alice.email})
    form = client.get(link(mail.outbox[0]), follow=True)
    response = client.post(
        form.redirect_chain[-1][0], {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD}, follow=True
    )

    assert "Password changed" in response.content.decode()
    assert sign_in(client, NEW_PASSWORD).status_code == 302
    assert "no longer works" in Client().get(link(mail.outbox[0]), follow=True).content.decode()


def test_reset_link_uses_the_public_url(client: Client, alice: User) -> None:
    client.post("/accounts/password/reset/", {"email": alice.email}, headers={"host": "127.0.0.1"})

    assert "http://localhost:8000/accounts/password/reset/key/" in mail.outbox[0].body


def test_password_reset_does_not_reveal_accounts(client: Client, alice: User) -> None:
    known = client.post("/accounts/password/reset/", {"email": alice.email})
    unknown = client.post("/accounts/password/reset/", {"email": "nobody@example.org"})

    assert known["Location"] == unknown["Location"]


def test_an_address_is_confirmed_by_its_link(client: Client) -> None:
    client.post("/accounts/signup/", CAROL)
    path = link(mail.outbox[0])

    assert "carol@example.org" in client.get(path).content.decode()
    client.post(path)

    assert EmailAddress.objects.get().verified
    assert "no longer works" in client.get("/accounts/confirm-email/nonsense/").content.decode()


def test_mandatory_confirmation_comes_before_the_first_sign_in(client: Client, settings: Settings) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = settings.EMAIL_VERIFICATION = "mandatory"

    client.post("/accounts/signup/", CAROL)
    assert sign_in(client, email="carol@example.org")["Location"] == "/accounts/confirm-email/"
    assert client.get("/account/").status_code == 302

    client.post(link(mail.outbox[0]))
    assert sign_in(client, email="carol@example.org")["Location"] == "/"


def test_a_new_address_replaces_the_old_when_it_is_confirmed(client: Client, alice: User) -> None:
    enter(client, alice)

    client.post("/accounts/email/", {"email": "new@example.org", "action_add": ""})
    assert "new@example.org" in client.get("/accounts/email/").content.decode()
    alice.refresh_from_db()
    assert alice.email == "alice@example.org"

    client.post(link(mail.outbox[0]))
    alice.refresh_from_db()
    assert alice.email == "new@example.org"


def test_pending_change_of_address_can_be_replaced(client: Client, alice: User) -> None:
    enter(client, alice)
    client.post("/accounts/email/", {"email": "first@example.org", "action_add": ""})
    client.post("/accounts/email/", {"email": "second@example.org", "action_add": ""})
    assert "second@example.org" in client.get("/accounts/email/").content.decode()

    client.post("/accounts/email/", {"email": "second@example.org", "action_remove": ""})

    alice.refresh_from_db()
    assert alice.email == "alice@example.org"
    assert [row.email for row in EmailAddress.objects.all()] == ["alice@example.org"]


def test_address_that_became_another_login_is_refused(client: Client, alice: User, bob: User) -> None:
    enter(client, alice)
    client.post("/accounts/email/", {"email": "new@example.org", "action_add": ""})
    User.objects.filter(pk=bob.pk).update(email="new@example.org")

    assert "Unable to confirm" in client.post(link(mail.outbox[0]), follow=True).content.decode()
    alice.refresh_from_db()
    assert alice.email == "alice@example.org"


def test_change_of_password_ends_other_sessions(client: Client, alice: User) -> None:
    elsewhere = Client()
    elsewhere.force_login(alice)
    client.force_login(alice)

    response = client.post(
        "/accounts/password/change/",
        {"oldpassword": PASSWORD, "password1": NEW_PASSWORD, "password2": NEW_PASSWORD},
    )

    assert response.status_code == 302
    assert client.get("/account/").status_code == 200
    assert elsewhere.get("/account/").status_code == 302


def test_a_forged_form_is_explained(alice: User) -> None:
    client = Client(enforce_csrf_checks=True)

    response = sign_in(client)

    assert response.status_code == 403
    assert "Please try again" in response.content.decode()


def test_a_missing_page_is_explained(client: Client) -> None:
    response = client.get("/nothing/here/")

    assert response.status_code == 404
    assert "Page not found" in response.content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["login/", "signup/", "password/reset/"])
def test_sign_in_forms_label_fields_like_other_pages(client: Client, path: str) -> None:
    page = client.get(f"/accounts/{path}").content.decode()
    assert "E-mail" in page
    assert not [words for words in ("Email:", "Email<", "Remember Me") if words in page]
