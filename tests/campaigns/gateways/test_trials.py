"""Trying a gateway, on its page and through the API, against a sandbox that plays its provider."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import LazySettings

from accounts.models import User
from campaigns.gateways.definitions.presets import presets, starting_point
from campaigns.gateways.definitions.schema import load
from campaigns.models import Exchange, Gateway, GatewayHour, Message, Run
from campaigns.sandbox.dialect import Dialect
from campaigns.sandbox.faults import Faults
from campaigns.sandbox.server import ProviderSandbox, Sandbox, serving
from directory.suppression.services import suppress
from tests.campaigns.browser_client import browser, htmx
from tests.conftest import ApiClient

pytestmark = pytest.mark.django_db

SECRET, PHONE, TEXT = "s3cret-token", "+7 999 123-45-67", "A very private text"
NEW, PAGE = "/gateways/new/?provider=", "/gateways/second/"
FORM = {"name": "second", "option_account": "AC123", "option_token": SECRET, "active": "on"}


@pytest.fixture
def twilio() -> Iterator[ProviderSandbox]:
    dialect = Dialect(presets()["twilio"], SECRET)
    with serving(sandbox := ProviderSandbox(Faults(), token=SECRET, seed=1, dialect=dialect)):
        yield sandbox


@pytest.fixture
def second(admin: User, twilio: ProviderSandbox) -> Gateway:
    browser(admin).post(f"{NEW}twilio", {**FORM, "url": twilio.url})
    return Gateway.objects.get(pk="second")


def page_of(admin: User, path: str, **data: str) -> str:
    """The answer to a form of the page; neither the secret nor the text is in it."""
    page = browser(admin).post(path, data).content.decode()
    assert SECRET not in page
    return page


def test_presets_say_what_they_can_do_and_what_is_unverified(admin: User) -> None:
    page = browser(admin).get("/gateways/new/").content.decode()
    assert page.count('href="?provider=') == len(presets()) + 4
    assert "Receipts, incoming messages, sender names" in page
    assert page.count('class="unverified"') == sum(bool(preset.unverified) for preset in presets().values())
    assert all(label in page for label in ("Another provider", "Kannel", "JSON over HTTP"))
    shown = browser(admin).get(f"{NEW}twilio").content.decode()
    assert "Twilio signs its callbacks over the address" in shown
    assert presets()["twilio"].documentation[0] in shown
    assert 'name="name" value="twilio"' in shown


def test_the_request_is_shown_before_anything_is_saved(admin: User) -> None:
    page = page_of(admin, f"{NEW}twilio", **FORM, action="request")
    assert "https://api.twilio.com/2010-04-01/Accounts/AC123/Messages.json" in page
    assert "Authorization: Basic •••" in page
    assert "To=%2B79991234567&amp;Body=Hello%21&amp;StatusCallback=" in page
    assert "callbacks%2Fsecond%3Fkey%3D•••%26message%3D123456789" in page
    assert 'value="AC123"' in page
    assert not Gateway.objects.exclude(kind="").exists()
    client = browser(admin)
    part = client.post(f"{NEW}twilio", {**FORM, "action": "request"}, headers=htmx("shown-request")).content.decode()
    assert "<html" not in part
    assert "Authorization: Basic •••" in part


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("probe", "Authorization: Bearer •••"), ("kannel", "username=me&amp;password=•••&amp;charset=UTF-8")],
)
def test_the_request_of_a_built_in_kind_is_shown(admin: User, kind: str, expected: str) -> None:
    fields = {"name": "second", "kind": kind, "url": "http://127.0.0.1:9/v1", "username": "me", "secret": SECRET}
    assert expected in page_of(admin, f"{NEW}{kind}", **fields, action="request")
    assert "Authorization: Bearer •••" in page_of(admin, "/gateways/probe/", action="request")


def test_a_description_is_checked_while_it_is_written(admin: User) -> None:
    assert load(starting_point()).fields.keys() == {"token"}
    client, path = browser(admin), f"{NEW}http"
    assert "Variables of a message" in client.get(path).content.decode()
    changed = starting_point().replace("[fields.token]", '[fields.account]\nlabel = "My account"\n[fields.token]')
    data = {"definition": changed, "action": "describe", "option_account": "acme", "option_token": SECRET}
    part = client.post(path, data, headers=htmx("definition-problems")).content.decode()
    assert 'name="option_account" value="acme"' in part
    assert "hx-preserve" in part
    assert SECRET not in part
    broken = client.post(path, {**data, "definition": "version = 2\nlabel = 3"}, headers=htmx()).content.decode()
    assert "label: Input should be a valid string" in broken
    assert "version: Input should be 1" in broken
    assert "option_account" not in broken
    page = client.post(path, {**FORM, "definition": "version = 2\n[[[", "action": "request"}).content.decode()
    assert "This is not TOML" in page
    assert "version = 2\n[[[" in page


def test_a_description_of_ones_own_is_added_and_used(admin: User) -> None:
    fields = {"name": "second", "definition": starting_point(), "option_token": SECRET, "active": "on"}
    assert browser(admin).post(f"{NEW}http", fields).status_code == 302
    page = browser(admin).get(PAGE).content.decode()
    assert "My provider" in page
    assert "The provider gets it with each message" in page
    judged = page_of(admin, f"{PAGE}sample/", kind="answer", status="400", body='{"error": {"code": "no_balance"}}')
    assert "Stopped until a person acts." in judged
    assert "Rule 3 of the description fits:" in judged


def test_a_check_shows_balance_and_answer(admin: User, second: Gateway) -> None:
    page = page_of(admin, f"{PAGE}check/")
    assert "second responds and accepts the credentials" in page
    assert "Balance: 100.00." in page
    assert "{&quot;balance&quot;: &quot;100.00&quot;}" in page
    answer: Any = ApiClient(admin).post("/gateways/second/check")
    assert answer.json() == {"ok": True, "reason": "", "message": "", "balance": "100.00"}
    Gateway.objects.update(secret=json.dumps({"token": "wrong"}))
    assert "It does not work: " in page_of(admin, f"{PAGE}check/")
    assert set(Exchange.objects.values_list("verdict", "reason")) == {("checked", ""), ("failed", "http_401")}


def test_a_test_is_one_real_message_in_no_figures(admin: User, second: Gateway, twilio: ProviderSandbox) -> None:
    data = {"phone": PHONE, "text": TEXT, "sender": "Acme"}
    part = browser(admin).post(f"{PAGE}send/", data, headers=htmx("send-form")).content.decode()
    assert twilio.ledger.accepted == 1
    assert (twilio.ledger.last[-1].message.phone, twilio.ledger.last[-1].message.text) == (79991234567, TEXT)
    assert "Accepted." in part
    assert "Rule 1 of the description fits:" in part
    assert "To=%2B•••67&amp;From=Acme&amp;Body=...&amp;StatusCallback=" in part
    assert "Authorization: Basic •••" in part
    row = Exchange.objects.get()
    assert (row.verdict, row.status, row.direction) == ("sent", 201, "out")
    assert row.message_id
    assert 8 * 10**15 < row.message_id < 2**53
    assert not any(model.objects.exists() for model in (Message, Run, GatewayHour))
    assert TEXT not in browser(admin).get(PAGE).content.decode()


def test_a_test_says_why_it_was_refused(admin: User, second: Gateway, twilio: ProviderSandbox) -> None:
    twilio.faults = twilio.faults.updated({"refuse": 1})
    page = page_of(admin, f"{PAGE}send/", phone=PHONE)
    assert "Refused." in page
    assert "this phone number does not exist" in page
    assert "second" in Exchange.objects.get().gateway


def test_nobody_who_opted_out_gets_a_test(admin: User, second: Gateway, twilio: ProviderSandbox) -> None:
    suppress([79991234567], by=admin, reason="asked by phone")
    assert "has opted out" in page_of(admin, f"{PAGE}send/", phone=PHONE)
    assert "test_phone_error" in page_of(admin, f"{PAGE}send/", phone="12")
    assert twilio.ledger.requests == 0


def test_the_api_sends_tests(admin: User, second: Gateway, twilio: ProviderSandbox) -> None:
    client = ApiClient(admin)
    body = {"phone": PHONE, "text": TEXT}
    answer: Any = client.post("/gateways/second/test", body, content_type="application/json")
    assert answer.status_code == 200, answer.content
    tested = answer.json()
    assert (tested["verdict"], tested["status"], tested["ids"], tested["price"]) == (
        "sent",
        201,
        ["SMaaaaaaaaaa-1"],
        None,
    )
    listed: Any = client.get("/gateways/second/exchanges")
    assert [row["message_id"] for row in listed.json()["items"]] == [tested["message_id"]]
    assert TEXT not in str(tested) + str(listed.json())
    refused: Any = client.post("/gateways/second/test", {"phone": "12"}, content_type="application/json")
    assert refused.status_code == 422


def test_a_locked_secret_is_said(admin: User, second: Gateway, settings: LazySettings) -> None:
    client = browser(admin)
    api = ApiClient(admin)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "lost" * 20, []
    client.force_login(admin)
    for action, data in (("check", {}), ("send", {"phone": PHONE}), ("sample", {"kind": "answer"})):
        assert "Enter it again" in client.post(f"{PAGE}{action}/", data).content.decode()
    answer: Any = api.post("/gateways/second/test", {"phone": PHONE}, content_type="application/json")
    assert answer.status_code in (401, 409)


@pytest.mark.parametrize(
    ("body", "query", "expected"),
    [
        ("MessageSid=SM1&MessageStatus=delivered", "message=17", "Receipt: delivered."),
        ("MessageSid=SM1&MessageStatus=undelivered&ErrorCode=30006", "", "Receipt: not delivered."),
        ("MessageSid=SM1&MessageStatus=sent", "https://x/?message=17", "without a final status"),
        ("MessageSid=SM1&From=%2B79991234567&To=100&Body=STOP", "", "Incoming message from +79991234567."),
        ("nothing", "", "can’t be read"),
    ],
)
def test_samples_of_callbacks_are_explained(admin: User, second: Gateway, body: str, query: str, expected: str) -> None:
    assert expected in page_of(admin, f"{PAGE}sample/", kind="callback", body=body, query=query)
    assert not Exchange.objects.exists()


def test_samples_of_answers_are_explained(admin: User, second: Gateway) -> None:
    sample = f"{PAGE}sample/"
    assert "Rule 1 of the description" in page_of(admin, sample, kind="answer", status="201", body='{"sid": "SM1"}')
    judged = page_of(admin, sample, kind="answer", status="400", body='{"code": 21610}')
    assert "The recipient has opted out at the provider" in judged
    assert "No rule of the description fits" in page_of(admin, sample, kind="answer", status="500", body="")
    assert "sample_status_error" in page_of(admin, sample, kind="answer", status="7")


def test_the_log_is_part_of_the_page(admin: User, second: Gateway, sandbox: Sandbox) -> None:
    client = browser(admin)
    assert "Nothing yet." in client.get(PAGE).content.decode()
    for _ in range(22):
        client.post(f"{PAGE}check/", headers=htmx())
    part = client.get(PAGE, headers=htmx("exchanges")).content.decode()
    assert "<html" not in part
    assert part.count("<details") == 20
    assert "Show all 22" in part
    assert client.get(f"{PAGE}?all", headers=htmx("exchanges")).content.decode().count("<details") == 22
    assert ApiClient(admin).delete("/gateways/second").status_code == 204
    assert not Exchange.objects.exists()


def test_a_test_follows_the_sender_names_of_its_gateway(admin: User) -> None:
    senders = [{"name": "Shop", "countries": []}]
    Gateway.objects.create(
        name="named", kind="kannel", url="http://127.0.0.1:9", username="u", secret="s", senders=senders
    )
    client = ApiClient(admin)
    refused = client.post(
        "/gateways/named/test", {"phone": "79991234567", "sender": "Nope"}, content_type="application/json"
    )
    assert (refused.status_code, "It allows: Shop" in refused.content.decode()) == (422, True)
    client.post("/gateways/named/test", {"phone": "79991234567"}, content_type="application/json")
    assert "from=Shop" in Exchange.objects.get().url
