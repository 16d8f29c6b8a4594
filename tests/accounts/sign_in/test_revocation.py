"""What ends with a password or an account: sessions, tokens, links, and pending changes."""

from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.contrib.sessions.models import Session
from django.core import mail
from django.test import Client

from accounts.models import ApiToken, User
from accounts.sign_in import invitations
from accounts.sign_in.mfa import SecondFactorAdapter
from accounts.webhooks.models import Webhook
from tests.accounts.sign_in.test_forms import CAROL, NEW_PASSWORD, enter, link, sign_in
from tests.conftest import ApiClient
from tests.factories import PASSWORD, totp

pytestmark = pytest.mark.django_db
SECRET = "JBSWY3DPEHPK3PXP"


def reset(email: str, password: str = NEW_PASSWORD) -> Any:
    """Reset the password by the link in the e-mail, in another browser."""
    browser = Client()
    browser.post("/accounts/password/reset/", {"email": email})
    form = browser.get(link(mail.outbox[-1]), follow=True)
    data = {"password1": password, "password2": password}
    return browser.post(form.redirect_chain[-1][0], data, follow=True)


def change_password(client: Client) -> Any:
    data = {"oldpassword": PASSWORD, "password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
    return client.post("/accounts/password/change/", data, follow=True)


def ask_for_address(client: Client, email: str) -> str:
    """Request another address, and return the path of the link in its e-mail."""
    client.post("/accounts/email/", {"email": email, "action_add": ""})
    (letter,) = [letter for letter in mail.outbox if letter.to == [email]]
    return link(letter)


def confirmed(user: User) -> User:
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return user


def with_second_factor(user: User) -> User:
    data = {"secret": SecondFactorAdapter().encrypt(SECRET)}
    Authenticator.objects.create(user=user, type="totp", data=data)
    return user


def test_password_reset_by_the_owner_ends_a_takeover(client: Client) -> None:
    """An attacker signs up with the owner's address, creates a token, and starts a change of address."""
    client.post("/accounts/signup/", CAROL)
    carol = User.objects.get()
    stranger = ApiClient(carol)
    enter(client, carol)
    elsewhere = Client()
    elsewhere.force_login(carol)
    path = ask_for_address(client, "mallory@example.org")
    SocialAccount.objects.create(user=carol, provider="oidc", uid="mallory")
    webhook = Webhook.objects.create(owner=carol, url="https://mallory.example.org/", events=["message.sent"])

    assert "Password changed" in reset("carol@example.org").content.decode()

    client.post(path)
    carol.refresh_from_db()
    assert carol.email == "carol@example.org"
    assert stranger.get("/users/me").status_code == 401
    assert client.get("/account/").status_code == elsewhere.get("/account/").status_code == 302
    assert [(row.email, row.verified) for row in EmailAddress.objects.all()] == [("carol@example.org", True)]
    assert not SocialAccount.objects.exists()
    webhook.refresh_from_db()
    assert webhook.disabled_at


def test_reset_keeps_the_setup_of_a_confirmed_owner(client: Client, alice: User) -> None:
    with_second_factor(confirmed(alice))
    webhook = Webhook.objects.create(owner=alice, url="https://alice.example.org/", events=["message.sent"])

    reset(alice.email)

    assert Authenticator.objects.filter(user=alice).exists()
    webhook.refresh_from_db()
    assert webhook.disabled_at is None


def test_the_first_proof_of_an_address_removes_second_factors_set_before(client: Client, alice: User) -> None:
    with_second_factor(alice)

    reset(alice.email)

    assert sign_in(client, NEW_PASSWORD)["Location"] == "/"


def test_reset_link_goes_to_the_login_and_not_to_a_pending_address(client: Client, alice: User) -> None:
    enter(client, alice)
    ask_for_address(client, "typo@example.org")
    mail.outbox.clear()

    Client().post("/accounts/password/reset/", {"email": "typo@example.org"})

    assert not [letter for letter in mail.outbox if "/password/reset/key/" in str(letter.body)]


@pytest.mark.parametrize("end", ["change", "reset"])
def test_confirmation_link_ends_with_a_change_of_password(client: Client, alice: User, end: str) -> None:
    enter(client, confirmed(alice))
    path = ask_for_address(client, "new@example.org")

    if end == "change":
        change_password(client)
    else:
        reset(alice.email)

    assert "no longer works" in Client().get(path).content.decode()
    Client().post(path)
    alice.refresh_from_db()
    assert alice.email == "alice@example.org"


def test_confirmation_link_is_bound_to_the_former_login(client: Client, alice: User) -> None:
    enter(client, confirmed(alice))
    path = ask_for_address(client, "new@example.org")
    User.objects.update(email="changed-by-the-administrator@example.org")

    Client().post(path)

    alice.refresh_from_db()
    assert alice.email == "changed-by-the-administrator@example.org"


@pytest.mark.parametrize("end", ["reset", "deactivate"])
def test_sign_in_waiting_for_its_code_ends(client: Client, alice: User, admin: User, end: str) -> None:
    with_second_factor(confirmed(alice))
    assert sign_in(client)["Location"] == "/accounts/2fa/authenticate/"

    if end == "reset":
        reset(alice.email)
    else:
        deactivate_and_activate(alice, admin)
    client.post("/accounts/2fa/authenticate/", {"code": totp(SECRET)})

    assert client.get("/account/").status_code == 302


def test_a_changed_password_ends_other_sessions_and_offers_to_revoke_tokens(client: Client, alice: User) -> None:
    kept, elsewhere = ApiClient(alice), Client()
    elsewhere.force_login(alice)
    client.force_login(alice)

    page = change_password(client)

    assert page.redirect_chain[-1][0] == "/account/password/changed/"
    assert "Revoke all tokens" in page.content.decode()
    assert elsewhere.get("/account/").status_code == 302
    assert kept.get("/users/me").status_code == 200
    assert client.get("/account/tokens/revoke/").status_code == 405

    client.post("/account/tokens/revoke/")
    assert kept.get("/users/me").status_code == 401


def test_page_is_skipped_without_tokens(client: Client, alice: User) -> None:
    client.force_login(alice)

    assert change_password(client).redirect_chain[-1][0] == "/account/"


def test_only_the_users_own_tokens_are_revoked(client: Client, alice: User, bob: User) -> None:
    ApiToken.issue(alice)
    theirs, _secret = ApiToken.issue(bob)
    client.force_login(alice)

    client.post("/account/tokens/revoke/")

    assert list(ApiToken.objects.filter(revoked_at=None)) == [theirs]


def deactivate_and_activate(user: User, admin: User) -> None:
    browser = Client()
    browser.force_login(admin)
    browser.post(f"/users/{user.pk}/deactivate/")
    browser.post(f"/users/{user.pk}/activate/")
    assert User.objects.get(pk=user.pk).is_active


def by_api(user: User, admin: User) -> None:
    api = ApiClient(admin)
    assert api.delete(f"/users/{user.pk}").status_code == 204
    api.patch(f"/users/{user.pk}", {"is_active": True}, content_type="application/json")


def by_patch(user: User, admin: User) -> None:
    api = ApiClient(admin)
    for active in (False, True):
        api.patch(f"/users/{user.pk}", {"is_active": active}, content_type="application/json")


def by_django_admin(user: User, admin: User) -> None:
    User.objects.filter(pk=admin.pk).update(is_superuser=True)
    browser = Client()
    browser.force_login(admin)
    for active in ({}, {"is_active": "on"}):
        form = {"email": user.email, "timezone": user.timezone, "language": "en", "first_name": "A", "last_name": "B"}
        answer = browser.post(f"/admin/accounts/user/{user.pk}/change/", {**form, **active})
        assert answer.status_code == 302, answer.context["errors"]


@pytest.mark.parametrize("way", [deactivate_and_activate, by_api, by_patch, by_django_admin])
def test_reactivated_account_regains_no_access(client: Client, alice: User, admin: User, way: Any) -> None:
    token = ApiClient(alice)
    enter(client, confirmed(alice))
    path = ask_for_address(client, "new@example.org")
    Client().post("/accounts/password/reset/", {"email": alice.email})
    forgotten = link(mail.outbox[-1])
    webhook = Webhook.objects.create(owner=alice, url="https://alice.example.org/", events=["message.sent"])

    way(alice, admin)

    assert User.objects.get(pk=alice.pk).is_active
    assert token.get("/users/me").status_code == 401
    assert client.get("/account/").status_code == 302
    Client().post(path)
    alice.refresh_from_db()
    assert alice.email == "alice@example.org"
    assert "no longer works" in Client().get(forgotten, follow=True).content.decode()
    webhook.refresh_from_db()
    assert webhook.disabled_at
    client.force_login(alice)
    assert client.get("/account/").status_code == 200


def test_sessions_of_a_deactivated_user_are_deleted(client: Client, alice: User, admin: User) -> None:
    sign_in(client)
    (session,) = Session.objects.all()

    deactivate_and_activate(alice, admin)

    assert not Session.objects.filter(pk=session.pk).exists()


def test_other_changes_of_an_active_user_end_no_access(client: Client, alice: User, admin: User) -> None:
    token = ApiClient(alice)
    client.force_login(alice)

    ApiClient(admin).patch(f"/users/{alice.pk}", {"is_active": True}, content_type="application/json")

    assert client.get("/account/").status_code == token.get("/users/me").status_code == 200


def test_an_invitation_is_bound_to_its_address(client: Client, admin: User) -> None:
    client.force_login(admin)
    client.post("/users/invite/", {"email": "zoe@example.org"})
    zoe = User.objects.invited().get()
    token = invitations.link_of(zoe).rstrip("/").rsplit("/", 1)[-1]
    assert invitations.invited_user(token) == zoe

    User.objects.filter(pk=zoe.pk).update(email="other@example.org")

    assert invitations.invited_user(token) is None
