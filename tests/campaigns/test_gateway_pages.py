"""The administrators' pages of gateways, and the choice of one in the composer."""

import pytest
from django.conf import LazySettings
from django.db import connection

from accounts.models import User
from campaigns import connections
from campaigns.models import Campaign, Gateway
from campaigns.sandbox.server import Sandbox
from tests.campaigns.pages import NEW, browser, composed

pytestmark = pytest.mark.django_db

PAGE = "/gateways/second/"


def form(**changes: str) -> dict[str, str]:
    fields = {"name": "second", "kind": "probe", "url": "http://127.0.0.1:9/v1", "secret": "s3cret-token"}
    return {**fields, "active": "on", "concurrency": "7", "rate": "2.5", **changes}


@pytest.fixture
def second(admin: User) -> Gateway:
    browser(admin).post("/gateways/new/", form())
    return Gateway.objects.get(pk="second")


def test_a_secret_is_sealed_never_shown_and_kept_when_left_empty(second: Gateway, admin: User) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM campaigns_gateway WHERE name = 'second'")
        assert "s3cret-token" not in cursor.fetchone()[0]
    assert "s3cret-token" not in browser(admin).get(PAGE).content.decode()
    browser(admin).post(PAGE, form(secret="", url="http://127.0.0.1:10/v1", fallback="probe"))
    second = Gateway.objects.get(pk="second")
    assert (second.url, second.secret, second.fallback_id) == ("http://127.0.0.1:10/v1", "s3cret-token", "probe")
    assert connections.limits("second") == (7, 2.5)
    browser(admin).post(PAGE, form(secret="another"))
    assert Gateway.objects.get(pk="second").secret == "another"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "probe"),
        ("name", "kannel"),
        ("name", "Big One"),
        ("name", ""),
        ("url", "ftp://gateway"),
        ("kind", "pigeon"),
        ("concurrency", "0"),
        ("rate", "nan"),
        ("fallback", "nobody"),
    ],
)
def test_what_is_wrong_stands_beside_its_field(admin: User, field: str, value: str) -> None:
    page = browser(admin).post("/gateways/new/", form(**{field: value})).content.decode()
    assert f"id_{field}_error" in page
    assert not Gateway.objects.exclude(kind="").exists()


def test_the_one_of_the_settings_has_a_fallback_only(second: Gateway, admin: User) -> None:
    page = browser(admin).get("/gateways/probe/").content.decode()
    assert "GATEWAY_URL" in page
    assert 'name="url"' not in page
    browser(admin).post("/gateways/probe/", {"fallback": "second", "url": "http://elsewhere/", "kind": "kannel"})
    usual = Gateway.objects.get(pk="probe")
    assert (usual.fallback_id, usual.url, usual.kind) == ("second", "", "")


def test_the_connection_is_tested_without_a_message(
    second: Gateway, admin: User, sandbox: Sandbox, settings: LazySettings
) -> None:
    def told() -> str:
        return browser(admin).post(f"{PAGE}test/", follow=True).content.decode()

    assert "can’t be reached" in told()
    Gateway.objects.filter(pk="second").update(url=sandbox.url)
    assert "refuses our token" in told()
    Gateway.objects.filter(pk="second").update(secret=settings.GATEWAY_TOKEN)
    assert "answers and knows us" in told()
    assert sandbox.ledger.accepted == 0
    settings.SECRET_KEY = "lost" * 20
    assert "enter it again" in str(browser(admin).post(f"{PAGE}test/", follow=True).content.decode())


def test_the_list_tells_how_each_is(second: Gateway, admin: User, settings: LazySettings) -> None:
    page = browser(admin).get("/gateways/").content.decode()
    assert "set by the environment" in page
    assert page.count("Works") == 2
    Gateway.objects.filter(pk="second").update(active=False)
    assert "Not in use" in browser(admin).get("/gateways/").content.decode()


def test_the_composer_offers_them_when_there_is_more_than_one(alice: User, second: Gateway) -> None:
    assert 'name="gateway"' in browser(alice).get(NEW).content.decode()
    browser(alice).post(NEW, composed(gateway="second"))
    assert Campaign.objects.get().gateway_id == "second"


def test_with_a_single_one_the_composer_says_nothing_of_it(alice: User) -> None:
    assert 'name="gateway"' not in browser(alice).get(NEW).content.decode()
    browser(alice).post(NEW, composed())
    assert Campaign.objects.get().gateway_id is None
