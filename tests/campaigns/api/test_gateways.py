"""`/gateways` of the JSON API."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.conf import LazySettings

from accounts.models import User
from campaigns.gateways import registry
from campaigns.models import Gateway, GatewayHour, Price
from project.core.clock import now
from tests import factories
from tests.campaigns.gateways.providers import example_text
from tests.conftest import ApiClient

JSON = "application/json"
NEW = {"name": "second", "kind": "probe", "url": "https://8.8.8.8/v1", "secret": "hidden-4711"}


@pytest.fixture
def client(admin: User) -> ApiClient:
    return ApiClient(admin)


def create(client: ApiClient, **body: Any) -> Any:
    return client.post("/gateways", {**NEW, **body}, content_type=JSON)


def patch(client: ApiClient, name: str, **body: Any) -> Any:
    return client.patch(f"/gateways/{name}", body, content_type=JSON)


def test_a_gateway_is_added_without_showing_its_secret(client: ApiClient) -> None:
    answer = create(client, carries=["kz", "7727"], rate=2.5)
    assert answer.status_code == 201, answer.content
    gateway = answer.json()
    assert (gateway["name"], gateway["kind"], gateway["rate"], gateway["active"]) == ("second", "probe", 2.5, True)
    assert (gateway["carries"], gateway["from_settings"], gateway["day"]["sent"]) == (["7727", "KZ"], False, 0)
    assert Gateway.objects.get(name="second").secret == "hidden-4711"
    assert client.get("/gateways/second").json() == gateway
    listed = client.get("/gateways")
    assert [row["name"] for row in listed.json()["items"]] == ["probe", "second"]
    assert b"hidden" not in listed.content + answer.content
    assert create(client).status_code == 409


def test_changes_keep_everything_else_and_are_recorded(client: ApiClient, admin: User) -> None:
    create(client, rate=2.5, active=False)
    answer = patch(client, "second", concurrency=7)
    assert answer.status_code == 200, answer.content
    row = Gateway.objects.get(name="second")
    assert (row.concurrency, row.rate, row.active, row.secret) == (7, 2.5, False, "hidden-4711")
    assert patch(client, "second", rate=None, secret="other").json()["rate"] is None
    row.refresh_from_db()
    assert row.secret == "other"
    entries = LogEntry.objects.get_for_object(row)
    assert {entry.actor for entry in entries} == {admin}
    assert {"concurrency": ["None", "7"]} in [entry.changes for entry in entries]
    assert "other" not in str([entry.changes for entry in entries])


def test_a_stale_version_is_refused(client: ApiClient) -> None:
    etag = create(client).headers["ETag"]
    assert patch(client, "second", rate=1.5, version="x").status_code == 409
    headers = {"If-Match": etag}
    assert client.patch("/gateways/second", {"rate": 2.5}, content_type=JSON, headers=headers).status_code == 200
    assert client.patch("/gateways/second", {"rate": 3.5}, content_type=JSON, headers=headers).status_code == 412


def test_of_the_settings_gateway_only_the_route_changes(client: ApiClient) -> None:
    create(client)
    changed = patch(client, "probe", fallback="second")
    assert (changed.status_code, changed.json()["fallback"], changed.json()["from_settings"]) == (200, "second", True)
    refused = patch(client, "probe", url="https://8.8.8.8/", rate=1.5)
    assert [error["loc"] for error in refused.json()["detail"]] == [["body", "rate"], ["body", "url"]]
    assert client.delete("/gateways/probe").status_code == 409
    assert client.delete("/gateways/second").status_code == 409  # the fallback
    assert patch(client, "probe", fallback=None).status_code == 200
    assert client.delete("/gateways/second").status_code == 204


def test_a_gateway_without_references_is_deleted_with_its_prices(client: ApiClient) -> None:
    create(client)
    Price.objects.create(gateway="second", area="KZ", price=Decimal(1), valid_from=date(2026, 1, 1))
    assert client.delete("/gateways/second").status_code == 204
    assert not Price.objects.exists()
    assert client.get("/gateways/second").status_code == 404


def test_a_gateway_of_a_campaign_or_with_a_history_stays(client: ApiClient, alice: User) -> None:
    create(client)
    campaign = factories.campaign(alice, draft=True, gateway=Gateway.objects.get(name="second"))
    assert client.delete("/gateways/second").status_code == 409
    campaign.gateway = None
    campaign.save()
    GatewayHour.objects.create(gateway="second", hour=now(), sent=1)
    assert client.delete("/gateways/second").status_code == 409
    assert client.get("/gateways/second").json()["day"]["sent"] == 1


def test_a_check_says_what_is_wrong(client: ApiClient) -> None:
    create(client, url="http://127.0.0.1:9/")
    answer = client.post("/gateways/second/check")
    assert answer.status_code == 200, answer.content
    assert (answer.json()["ok"], answer.json()["reason"]) == (False, "unreachable")
    assert answer.json()["message"]


SENDERS = [{"name": "Vestnik", "countries": ["KZ", "RU"]}, {"name": "12345", "countries": []}]


def test_sender_names_are_entered_in_order_and_recorded(client: ApiClient) -> None:
    answer = create(
        client, kind="kannel", username="u", senders=[{**SENDERS[0], "countries": ["ru", "KZ"]}, SENDERS[1]]
    )
    assert answer.status_code == 201, answer.content
    assert answer.json()["senders"] == Gateway.objects.get(name="second").senders == SENDERS
    assert patch(client, "second", rate=1.5).json()["senders"] == SENDERS
    version = client.get("/gateways/second").json()["version"]
    changed = patch(client, "second", senders=[{"name": "Shop"}]).json()
    assert changed["senders"] == [{"name": "Shop", "countries": []}]
    assert changed["version"] != version
    entries = LogEntry.objects.get_for_object(Gateway.objects.get(name="second"))
    assert ["senders"] in [list(entry.changes) for entry in entries]


def test_sender_names_of_the_settings_gateway(client: ApiClient, settings: LazySettings) -> None:
    assert patch(client, "probe", senders=SENDERS).status_code == 422
    settings.GATEWAY = "kannel"
    assert patch(client, "kannel", senders=SENDERS).json()["senders"] == SENDERS


def test_a_gateway_that_takes_no_sender_names_refuses_them(client: ApiClient) -> None:
    assert create(client, senders=SENDERS).json()["detail"][0]["loc"] == ["body", "senders"]
    create(client)
    assert patch(client, "second", senders=SENDERS).json()["detail"][0]["loc"] == ["body", "senders"]
    assert patch(client, "second", senders=[]).status_code == 200
    assert patch(client, "second", kind="kannel", username="u", senders=SENDERS).json()["senders"] == SENDERS
    assert patch(client, "second", kind="probe").status_code == 422
    assert patch(client, "second", kind="probe", senders=[]).json()["senders"] == []


@pytest.mark.parametrize(
    "senders",
    [
        ["Vestnik"],
        [{"name": "ab"}],
        [{"name": "Vestnik: RU"}],
        [{"name": "Shop\nVestnik"}],
        [{"name": "Вестник"}],
        [{"name": "Vestnik", "countries": ["XX"]}],
        [{"name": "Vestnik", "countries": ["Russia"]}],
        [{"name": "Vestnik", "countries": "RU"}],
        [{"name": "Vestnik"}, {"name": "Vestnik", "countries": ["RU"]}],
        [{"name": f"Shop {n}"} for n in range(101)],
        None,
    ],
)
def test_strange_sender_names_are_refused(client: ApiClient, senders: Any) -> None:
    assert create(client, kind="kannel", username="u", senders=senders).status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "x"},
        {"kind": "console"},
        {"url": "ftp://8.8.8.8"},
        {"url": ""},
        {"url": "\0"},
        {"secret": "x" * 501},
        {"concurrency": 0},
        {"concurrency": "1"},
        {"rate": 1e300},
        {"carries": ["XX1"]},
        {"carries": [""]},
        {"carries": ["9" * 15] * 61},
        {"fallback": "nobody"},
        {"active": "yes"},
        {"x": 1},
    ],
)
def test_strange_values_are_refused(client: ApiClient, body: dict[str, Any]) -> None:
    assert create(client, **body).status_code == 422
    create(client)
    assert patch(client, "second", **body).status_code == 422


@pytest.mark.parametrize("name", ["", "A", "a b", "x" * 41, "\0", "-a", None])
def test_strange_names_are_refused(client: ApiClient, name: Any) -> None:
    assert create(client, name=name).status_code == 422


TWILIO = {"name": "tw", "kind": "http", "preset": "twilio", "fields": {"account": "AC1", "token": "hidden-4711"}}


def test_a_provider_is_added_by_its_preset(client: ApiClient) -> None:
    presets = {row["name"]: row for row in client.get("/gateways/presets").json()["items"]}
    asked = {field["name"]: field for field in presets["twilio"]["fields"]}
    assert (asked["token"]["secret"], asked["token"]["required"]) == (True, True)
    answer = client.post("/gateways", TWILIO, content_type=JSON)
    assert answer.status_code == 201, answer.content
    gateway = answer.json()
    assert (gateway["preset"], gateway["url"]) == ("twilio", presets["twilio"]["url"])
    assert gateway["fields"]["account"] == "AC1"
    assert b"hidden" not in answer.content + client.get("/gateways/tw").content
    sent = registry.driver("tw").build(1, 79991234567, "Hi")
    assert sent.url == "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages.json"


def test_changing_a_field_of_a_provider_keeps_the_others(client: ApiClient) -> None:
    client.post("/gateways", TWILIO, content_type=JSON)
    assert patch(client, "tw", fields={"account": "AC2"}).json()["fields"]["account"] == "AC2"
    row = Gateway.objects.get(pk="tw")
    assert registry.secrets_of(row) == {"token": "hidden-4711"}
    assert patch(client, "tw", fields={"token": "another"}).status_code == 200
    row.refresh_from_db()
    assert (registry.secrets_of(row), row.options["account"]) == ({"token": "another"}, "AC2")
    assert "another" not in str([entry.changes for entry in LogEntry.objects.get_for_object(row)])


def test_a_provider_with_a_description_of_its_own(client: ApiClient) -> None:
    body = {"name": "own", "kind": "http", "definition": example_text(), "fields": {"account": "a", "token": "t"}}
    answer = client.post("/gateways", body, content_type=JSON)
    assert answer.status_code == 201, answer.content
    assert answer.json()["url"] == "https://api.example.com"
    refused = patch(client, "own", definition=example_text().replace("exists = true", 'exists = "yes"'))
    assert refused.status_code == 422
    assert "answer.rules.0.exists" in str(refused.json()["detail"])


@pytest.mark.parametrize(
    "body",
    [
        {"fields": {}},
        {"fields": {"account": "AC1"}},
        {"fields": {"account": "AC1", "token": "x" * 2001}},
        {"preset": "unknown"},
        {"preset": ""},
        {"url": "http://169.254.169.254/"},
        {"url": "file:///etc/passwd"},
    ],
)
def test_incomplete_providers_are_refused(client: ApiClient, body: dict[str, Any]) -> None:
    assert client.post("/gateways", {**TWILIO, **body}, content_type=JSON).status_code == 422
    assert not Gateway.objects.filter(kind="http").exists()


def test_a_provider_that_needs_a_sender_is_refused_without_one(client: ApiClient) -> None:
    definition = example_text().replace('sender = "optional"', 'sender = "required"')
    body = {"name": "own", "kind": "http", "definition": definition, "fields": {"account": "a", "token": "t"}}
    missing: list[dict[str, Any]] = [{}, {"senders": []}]
    for senders in missing:
        refused = client.post("/gateways", {**body, **senders}, content_type=JSON)
        assert [error["loc"] for error in refused.json()["detail"]] == [["body", "senders"]]
    created = client.post("/gateways", {**body, "senders": [{"name": "Shop", "countries": []}]}, content_type=JSON)
    assert created.status_code == 201, created.content


def test_the_usual_address_follows_the_description(client: ApiClient) -> None:
    body = {"name": "own", "kind": "http", "definition": example_text(), "fields": {"account": "a", "token": "t"}}
    client.post("/gateways", body, content_type=JSON)
    moved = example_text().replace("https://api.example.com", "https://sms.example.net")
    assert patch(client, "own", definition=moved).json()["url"] == "https://sms.example.net"
    assert registry.driver("own").build(1, 79991234567, "Hi").url == "https://sms.example.net/v1/messages"
    assert patch(client, "own", url="https://8.8.8.8/x").json()["url"] == "https://8.8.8.8/x"


def test_problems_of_a_description_hide_no_others_and_invent_none(client: ApiClient) -> None:
    body = {"name": "own", "kind": "http", "definition": "version = 1", "senders": [{"name": "Shop", "countries": []}]}
    refused = client.post("/gateways", body, content_type=JSON).json()["detail"]
    assert {error["loc"][-1] for error in refused} == {"definition"}


def test_the_callback_address_is_shown(client: ApiClient) -> None:
    client.post("/gateways", TWILIO, content_type=JSON)
    assert client.get("/gateways/tw/callback").json()["url"] == registry.callback_address("tw")
