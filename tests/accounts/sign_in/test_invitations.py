"""Administrators' pages about users: invitations, sign-ins, and the rule that an administrator remains."""

import re
import threading
from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.core import mail
from django.db import connection
from django.test import Client
from django.utils.timezone import now
from pytest_django import Settings
from time_machine import travel

from accounts import services
from accounts.models import SignIn, User
from accounts.sign_in import invitations, sign_in_log
from project.http.errors import Conflict
from tests import factories
from tests.conftest import ApiClient
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db

ZOE = {"first_name": "Zoë", "last_name": "O’Neill", "password1": PASSWORD, "password2": PASSWORD}


@pytest.fixture
def as_admin(client: Client, admin: User) -> Client:
    client.force_login(admin)
    return client


@pytest.fixture
def path(as_admin: Client) -> str:
    """The link in the e-mail that an administrator sent to Zoe."""
    assert as_admin.post("/users/invite/", {"email": "Zoe@example.org"}).status_code == 302
    return link()


def link() -> str:
    found = re.search(r"http://localhost:8000(/\S+)", str(mail.outbox[-1].body))
    assert found
    return found[1]


def test_an_invitation_opens_an_account_once(path: str, settings: Settings) -> None:
    settings.OPEN_SIGNUP = False
    zoe, browser = User.objects.invited().get(), Client()
    assert mail.outbox[-1].to == ["zoe@example.org"]
    assert (zoe.is_active, zoe.is_staff) == (False, False)
    page = browser.get(path).content.decode()
    assert "zoe@example.org" in page
    assert "style=" not in page
    for field, value in {"first_name": "R2D2", "password1": "12345678", "password2": "another"}.items():
        assert f'id="id_{field}_error"' in browser.post(path, ZOE | {field: value}).content.decode()

    assert browser.post(path, ZOE)["Location"] == "/"

    zoe.refresh_from_db()
    assert (zoe.is_active, zoe.invited_at, str(zoe)) == (True, None, "Zoë O’Neill")
    assert EmailAddress.objects.get(user=zoe).verified
    assert browser.get("/account/").status_code == 200
    assert zoe.check_password(PASSWORD)
    assert "no longer works" in Client().get(path).content.decode()
    assert "no longer works" in Client().post(path, ZOE).content.decode()


def test_invitation_expires_or_is_withdrawn(path: str, as_admin: Client) -> None:
    zoe = User.objects.invited().get()
    assert "no longer works" in Client().get(path[:-3] + "x/").content.decode()
    with travel(now() + timedelta(days=7, minutes=1), tick=False):
        assert "no longer works" in Client().get(path).content.decode()
    as_admin.post(f"/users/{zoe.pk}/reinvite/")
    assert "no longer works" in Client().get(path).content.decode()
    assert "zoe@example.org" in Client().get(link()).content.decode()

    as_admin.post(f"/users/{zoe.pk}/withdraw/")

    assert "no longer works" in Client().get(link()).content.decode()
    assert not User.objects.filter(pk=zoe.pk).exists()


def test_invited_user_has_no_access_yet(path: str, as_admin: Client, admin: User) -> None:
    zoe = User.objects.invited().get()
    assert "has been invited" in as_admin.post(f"/users/{zoe.pk}/activate/", follow=True).content.decode()
    api = ApiClient(admin)
    assert api.patch(f"/users/{zoe.pk}", {"is_active": True}, content_type="application/json").status_code == 409
    assert api.delete(f"/users/{zoe.pk}").status_code == 409
    mail.outbox.clear()
    Client().post("/accounts/password/reset/", {"email": zoe.email})
    assert not any("/password/reset/key/" in str(letter.body) for letter in mail.outbox)


@pytest.mark.parametrize("email", ["alice@example.org", "ALICE@example.org", "nobody", "", "a" * 255 + "@example.org"])
def test_invalid_invitation_address_shows_a_field_error(as_admin: Client, alice: User, email: str) -> None:
    assert 'id="id_email_error"' in as_admin.post("/users/invite/", {"email": email}).content.decode()
    assert not User.objects.invited().exists()


def test_an_administrator_can_be_invited(as_admin: Client) -> None:
    as_admin.post("/users/invite/", {"email": "chief@example.org", "is_staff": "on"})

    chief = User.objects.invited().get()
    assert chief.is_staff
    with pytest.raises(Conflict, match="last active administrator"):
        services.user_deactivate(user=User.objects.get(email="admin@example.org"), by=chief)
    invitations.accept(user=chief, first_name="Ann", last_name="Lee", password=PASSWORD)
    with pytest.raises(Conflict, match="accepted or withdrawn"):
        invitations.withdraw(user=chief)


def test_the_list_is_filtered_by_state(path: str, as_admin: Client, alice: User, bob: User) -> None:
    User.objects.filter(pk=bob.pk).update(is_active=False)

    def found(state: str) -> set[str]:
        return {row.email.partition("@")[0] for row in as_admin.get("/users/", {"state": state}).context["page"].items}

    assert found("active") == {"admin", "alice"}
    assert found("administrators") == {"admin"}
    assert found("invited") == {"zoe"}
    assert found("deactivated") == {"bob"}
    assert found("strange") == found("") == {"admin", "alice", "bob", "zoe"}


def test_an_administrator_sees_when_and_how_somebody_signed_in(as_admin: Client, alice: User) -> None:
    browser = Client(headers={"User-Agent": "Mozilla/5.0 (Windows NT 10.0) Firefox/140.0"})
    browser.post("/accounts/login/", {"login": alice.email, "password": "wrong"})
    browser.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})

    page = as_admin.get(f"/users/{alice.pk}/").content.decode()

    assert page.count("Firefox, Windows") == 1
    assert ">127.0.0.1<" in page
    SignIn.objects.update(at=now() - timedelta(days=91))
    sign_in_log.prune()
    assert not SignIn.objects.exists()


def test_a_lost_second_factor_is_removed_by_an_administrator(as_admin: Client, alice: User, bob: User) -> None:
    Authenticator.objects.create(user=alice, type="totp", data={"secret": ""})

    as_admin.post(f"/users/{alice.pk}/unlock/")

    assert not Authenticator.objects.exists()
    assert mail.outbox[-1].to == [alice.email]
    assert "already off" in as_admin.post(f"/users/{alice.pk}/unlock/", follow=True).content.decode()


@pytest.mark.skipif(connection.vendor == "sqlite", reason="one transaction writes at a time, and others see a lock")
@pytest.mark.django_db(transaction=True)
def test_one_of_two_simultaneously_leaving_administrators_stays(admin: User) -> None:
    other = factories.user("other@example.org", is_staff=True)
    start, outcomes = threading.Barrier(2), []

    def leave(user: User, how: str) -> None:
        start.wait(10)
        try:
            if how == "demoted":
                services.user_update(user=user, by=user, is_staff=False)
            else:
                services.user_deactivate(user=user, by=user)
            outcomes.append("gone")
        except Conflict:
            outcomes.append("stays")
        finally:
            connection.close()

    threads = [threading.Thread(target=leave, args=pair) for pair in ((admin, "demoted"), (other, "deactivated"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sorted(outcomes) == ["gone", "stays"]
    assert User.objects.filter(is_staff=True, is_active=True).count() == 1


def test_django_admin_keeps_the_last_administrator(client: Client, admin: User) -> None:
    User.objects.update(is_superuser=True)
    client.force_login(admin)
    address = f"/admin/accounts/user/{admin.pk}/change/"
    form = client.get(address).context["adminform"].form
    data = {name: form[name].value() for name in form.fields if name != "is_staff" and form[name].value()}

    assert "last active administrator" in client.post(address, data).content.decode()
    factories.user("other@example.org", is_staff=True)
    assert client.post(address, data).status_code == 302
    admin.refresh_from_db()
    assert not admin.is_staff


def test_users_export_their_data(client: Client, alice: User, bob: User) -> None:
    client.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
    mine, theirs = factories.campaign(alice, name="Mine"), factories.campaign(bob, name="Theirs")
    ApiClient(alice)

    answer = client.get("/account/data/")

    data = answer.json()
    assert "attachment" in answer["Content-Disposition"]
    assert data["account"]["email"] == alice.email
    assert [row["id"] for row in data["campaigns"]] == [mine.pk]
    assert (len(data["tokens"]), len(data["sign_ins"]), len(data["sessions"])) == (1, 1, 1)
    for secret in (alice.password, theirs.name, "digest", "session_key"):
        assert secret not in answer.content.decode()
