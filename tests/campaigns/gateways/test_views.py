"""The administrators' pages of gateways, and the choice of one in the composer."""

import re

import pytest
from auditlog.models import LogEntry
from django.conf import LazySettings
from django.db import connection

from accounts.audit_log import Change, history_of
from accounts.models import User
from campaigns.gateways import registry
from campaigns.models import Campaign, Gateway, GatewayHour
from campaigns.sandbox.server import Sandbox
from project.core.clock import now
from tests import factories
from tests.campaigns.browser_client import NEW, PREVIEW, browser, composed, htmx
from tests.campaigns.outcomes import started

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
    assert registry.limits("second") == (7, 2.5)
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
        ("carries", "KZ, Narnia"),
    ],
)
def test_errors_are_shown_at_their_fields(admin: User, field: str, value: str) -> None:
    page = browser(admin).post("/gateways/new/?provider=probe", form(**{field: value})).content.decode()
    assert f"id_{field}_error" in page
    assert not Gateway.objects.exclude(kind="").exists()


def test_the_areas_of_a_gateway_are_stored_sorted_and_shown_by_name(second: Gateway, admin: User) -> None:
    client = browser(admin)
    refused = client.post(PAGE, form(secret="", carries="KZ, Narnia")).content.decode()
    assert "“Narnia” is neither" in refused
    client.post(PAGE, form(secret="", carries=" ru kz,+7727"))
    assert Gateway.objects.get(pk="second").carries == "7727,KZ,RU"
    assert "takes only +7727, Kazakhstan, Russia" in client.get("/gateways/").content.decode()
    assert "+7727, Kazakhstan, Russia" in client.get(PAGE).content.decode()
    client.post("/gateways/probe/", {"carries": "de", "fallback": ""})
    assert Gateway.objects.get(pk="probe").carries == "DE"


def test_a_fallback_takes_everything_that_its_gateway_takes(second: Gateway, admin: User) -> None:
    client = browser(admin)
    client.post(PAGE, form(secret="", carries="RU, KZ"))
    refused = client.post("/gateways/probe/", {"carries": "RU, DE", "fallback": "second"}).content.decode()
    assert "id_fallback_error" in refused
    assert "It lacks: Germany." in refused
    assert "It lacks: all other countries." in (
        client.post("/gateways/probe/", {"carries": "", "fallback": "second"}).content.decode()
    )
    assert client.post("/gateways/probe/", {"carries": "7701, RU", "fallback": "second"}).status_code == 302
    refused = client.post(PAGE, form(secret="", carries="RU")).content.decode()
    assert "id_carries_error" in refused
    assert "the fallback of probe, so it must also take: +7701." in refused
    assert client.post(PAGE, form(secret="", carries="7")).status_code == 302


def kannel(**changes: str) -> dict[str, str]:
    return form(kind="kannel", username="u", **changes)


def test_the_sender_names_of_a_gateway_are_entered_one_per_line(admin: User) -> None:
    client = browser(admin)
    client.post("/gateways/new/", kannel(senders="Vestnik: ru KZ\r\n12345\r\n"))
    row = Gateway.objects.get(pk="second")
    assert row.senders == [{"name": "Vestnik", "countries": ["KZ", "RU"]}, {"name": "12345", "countries": []}]
    assert "Vestnik: KZ, RU\n12345</textarea>" in client.get(PAGE).content.decode()
    assert client.post(PAGE, kannel(secret="", senders="")).status_code == 302
    assert dict(history_of(row)[0].changes) == {"sender names": Change("Vestnik: KZ, RU; 12345", "")}
    assert "<del>Vestnik: KZ, RU; 12345</del>" in client.get(PAGE).content.decode()
    row.refresh_from_db()
    assert row.senders == []


def test_a_wrong_line_of_sender_names_is_named(admin: User) -> None:
    page = browser(admin).post("/gateways/new/", kannel(senders="Vestnik\nShop: Narnia\nab")).content.decode()
    assert "id_senders_error" in page
    assert "Line 2, “Shop: Narnia”: “NARNIA” is not a country code" in page
    assert "Line 3, “ab”: A sender name has" in page
    assert not Gateway.objects.exclude(kind="").exists()


def test_only_gateways_that_take_sender_names_offer_them(second: Gateway, admin: User, settings: LazySettings) -> None:
    client = browser(admin)
    providers = {"kannel": True, "twilio": True, "probe": False}
    for provider, offered in providers.items():
        page = client.get(f"/gateways/new/?provider={provider}").content.decode()
        assert ('name="senders"' in page) is offered
    assert 'name="senders"' not in client.get(PAGE).content.decode()
    assert 'name="senders"' not in client.get("/gateways/probe/").content.decode()
    refused = client.post("/gateways/new/", form(name="third", senders="Vestnik")).content.decode()
    assert "takes no sender names" in refused
    settings.GATEWAY = "kannel"
    assert 'name="senders"' in client.get("/gateways/kannel/").content.decode()
    client.post("/gateways/kannel/", {"carries": "", "fallback": "", "senders": "Vestnik"})
    assert Gateway.objects.get(pk="kannel").senders == [{"name": "Vestnik", "countries": []}]


def test_only_the_route_of_the_settings_gateway_can_be_edited(second: Gateway, admin: User) -> None:
    page = browser(admin).get("/gateways/probe/").content.decode()
    assert "GATEWAY_URL" in page
    assert 'name="url"' not in page
    browser(admin).post("/gateways/probe/", {"fallback": "second", "url": "http://elsewhere/", "kind": "kannel"})
    usual = Gateway.objects.get(pk="probe")
    assert (usual.fallback_id, usual.url, usual.kind) == ("second", "", "")


def test_the_connection_is_tested_without_a_message(
    second: Gateway, admin: User, sandbox: Sandbox, settings: LazySettings
) -> None:
    def shown() -> str:
        return browser(admin).post(f"{PAGE}test/", follow=True).content.decode()

    assert "Could not connect" in shown()
    Gateway.objects.filter(pk="second").update(url=sandbox.url)
    assert "rejected the credentials" in shown()
    Gateway.objects.filter(pk="second").update(secret=settings.GATEWAY_TOKEN)
    assert "responds and accepts the credentials" in shown()
    assert sandbox.ledger.accepted == 0
    settings.SECRET_KEY = "lost" * 20
    assert "Enter it again" in str(browser(admin).post(f"{PAGE}test/", follow=True).content.decode())


def test_the_list_shows_the_health_of_each_gateway(second: Gateway, admin: User, settings: LazySettings) -> None:
    page = browser(admin).get("/gateways/").content.decode()
    assert "set in the environment" in page
    assert page.count(">OK<") == 2
    Gateway.objects.filter(pk="second").update(active=False)
    assert "Not in use" in browser(admin).get("/gateways/").content.decode()


def test_the_composer_offers_them_when_there_is_more_than_one(alice: User, second: Gateway) -> None:
    assert 'name="gateway"' in browser(alice).get(NEW).content.decode()
    browser(alice).post(NEW, composed(gateway="second"))
    assert Campaign.objects.get().gateway_id == "second"


def test_with_a_single_gateway_the_composer_offers_no_choice(alice: User) -> None:
    assert 'name="gateway"' not in browser(alice).get(NEW).content.decode()
    browser(alice).post(NEW, composed())
    assert Campaign.objects.get().gateway_id is None


def test_the_history_never_shows_a_secret(second: Gateway, admin: User) -> None:
    browser(admin).post(PAGE, form(secret="", url="http://127.0.0.1:10/v1", active="", fallback="probe"))
    browser(admin).post(PAGE, form(secret="an0ther-one", active="", url="http://127.0.0.1:10/v1", fallback="probe"))
    steps = [(step.created, dict(step.changes)) for step in history_of(second)]
    assert steps == [
        (False, {"token or password": Change("", "•••")}),
        (
            False,
            {
                "address": Change("http://127.0.0.1:9/v1", "http://127.0.0.1:10/v1"),
                "active": Change("yes", "no"),
                "fallback": Change("", "probe"),
            },
        ),
        (True, dict(history_of(second)[2].changes)),
    ]
    assert {step.by for step in history_of(second)} == {admin}
    page = browser(admin).get(PAGE).content.decode()
    assert "http://127.0.0.1:9/v1</del>" in page
    everything = page + str(list(LogEntry.objects.values()))
    assert "s3cret-token" not in everything
    assert "an0ther-one" not in everything


def test_a_change_is_recorded_though_its_secret_cannot_be_opened(
    second: Gateway, admin: User, settings: LazySettings
) -> None:
    client = browser(admin)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "lost" * 20, []
    client.force_login(admin)
    assert client.post(PAGE, form(secret="new-one", rate="3")).status_code == 302
    assert [set(dict(step.changes)) for step in history_of(second)[:2]] == [
        {"token or password"},
        {"speed limit, messages per second"},
    ]
    assert Gateway.objects.get(pk="second").secret == "new-one"


def stop(name: str, alert: str = "http_503", **fields: object) -> None:
    Gateway.objects.filter(pk=name).update(opened_at=now(), open_until=now(), alert=alert, **fields)


def test_each_stopped_gateway_is_shown(second: Gateway, alice: User) -> None:
    Gateway.objects.get_or_create(pk="probe")
    stop("second", "http_401", fallback="probe")
    page = browser(alice).get("/").content.decode()
    assert re.search(r'class="badge bad live"[^>]*>second not responding<', page)
    assert "Sending through second has been paused" in page
    assert "must enter a valid token" in page
    assert "GATEWAY_TOKEN" not in page
    assert "Messages are sent through probe meanwhile" in page
    stop("probe")
    page = browser(alice).get("/").content.decode()
    assert "2 gateways not responding" in page
    assert "Sending through probe has been paused" in page
    Gateway.objects.filter(pk="second").update(active=False)
    page = browser(alice).get("/").content.decode()
    assert "Sending through probe has been paused" in page
    assert "Sending through second has been paused" not in page


def test_a_campaigns_page_shows_only_its_own_gateway(second: Gateway, alice: User) -> None:
    usual, _run = started(alice, contacts=1)
    own, _run = started(alice, contacts=1, text="Another", gateway=second)
    stop("second")

    def shown(campaign: Campaign) -> str:
        return browser(alice).get(f"/campaigns/{campaign.pk}/").content.decode()

    assert "Sending through" not in shown(usual)
    assert "Sending through second has been paused" in shown(own)
    Gateway.objects.filter(pk="second").update(active=False)
    assert "second is not in use" in shown(own)
    assert "wait until an administrator" in shown(own)


def test_the_figures_are_shown_on_phones(second: Gateway, admin: User) -> None:
    GatewayHour.objects.create(gateway="second", hour=now(), sent=12, retried=9)
    page = browser(admin).get("/gateways/").content.decode()
    assert re.search(r'"phone-only">12 accepted, 0 failed, 9 retried; 0 delivered, 0 undelivered<', page)


def test_the_forecast_uses_the_chosen_gateway(second: Gateway, alice: User) -> None:
    for _ in range(25):
        factories.contact(alice)

    def shown() -> str:
        return browser(alice).post(PREVIEW, composed(gateway="second"), headers=htmx("preview")).content.decode()

    assert "takes about 10 s at 150 per minute" in shown()
    assert "second does not respond" not in shown()
    stop("second")
    assert "second does not respond" in shown()
    stop("second", fallback="probe")
    assert "second does not respond" not in shown()
