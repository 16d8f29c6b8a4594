"""The sender name that a message gets: chosen at its first lease, and kept by every retry of the same gateway."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from campaigns import services
from campaigns.gateways import registry
from campaigns.messages.transactional import message_send
from campaigns.models import Campaign, Gateway, Message, Run
from campaigns.planning.lifecycle import campaign_advance
from campaigns.sending.lease import lease
from campaigns.sending.outcomes import release
from campaigns.sending.session import SendSession
from campaigns.sending.transport import transport_for
from campaigns.states import Resolution
from directory.models import Contact
from project.core.clock import now
from tests import factories
from tests.campaigns.engine import Inline, statuses

pytestmark = pytest.mark.django_db

RUSSIAN, KAZAKH = 79161234567, 77011234567
VESTNIK, SHOP = {"name": "Vestnik", "countries": ["RU"]}, {"name": "Shop", "countries": []}


class Recorder(ThreadingHTTPServer):
    """Accepts messages like Kannel and keeps their senders by phone; the first `refusals` are to be retried."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Sendsms)
        self.got: list[tuple[int, str | None]] = []
        self.refusals = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Sendsms(BaseHTTPRequestHandler):
    server: Recorder

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        self.server.got.append((int(query["to"][0]), query.get("from", [None])[0]))
        self.server.refusals -= 1
        self.send_response(503 if self.server.refusals >= 0 else 202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@pytest.fixture
def kannel() -> Iterator[Recorder]:
    server = Recorder()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def gateway(kannel: Recorder, settings: LazySettings) -> Gateway:
    """The gateway of the settings, which allows two senders."""
    settings.GATEWAY, settings.GATEWAY_URL, settings.GATEWAY_TOKEN = "kannel", kannel.url, "vestnik:secret"
    return Gateway.objects.create(name="kannel", senders=[VESTNIK, SHOP])


def allow(gateway: Gateway, *senders: dict[str, Any]) -> None:
    Gateway.objects.filter(pk=gateway.pk).update(senders=senders)


def campaign_to(owner: User, *phones: int, **fields: Any) -> Campaign:
    for phone in phones:
        factories.contact(owner, phone=phone)
    campaign = factories.campaign(owner, **fields)
    campaign_advance(campaign.pk)
    return campaign


def send(name: str = "kannel") -> None:
    Message.objects.waiting().update(due_at=now())
    driver = registry.driver(name)
    transport = transport_for(driver)
    try:
        SendSession(driver, transport, executor=Inline(), limits=registry.limits(name), seconds=5).run()
    finally:
        transport.close()


def senders() -> dict[int, str | None]:
    return {message.recipient: message.sender for message in Message.objects.select_related("contact")}


def test_the_campaigns_sender_goes_where_it_is_allowed_else_the_default(alice: User, kannel: Recorder) -> None:
    campaign_to(alice, RUSSIAN, KAZAKH, sender="Vestnik")
    send()
    assert dict(kannel.got) == senders() == {RUSSIAN: "Vestnik", KAZAKH: "Shop"}


def test_without_a_choice_it_is_the_first_one_of_the_country(alice: User, kannel: Recorder) -> None:
    campaign_to(alice, RUSSIAN, KAZAKH)
    send()
    assert dict(kannel.got) == {RUSSIAN: "Vestnik", KAZAKH: "Shop"}


def test_without_names_none_is_sent(alice: User, kannel: Recorder, gateway: Gateway) -> None:
    allow(gateway)
    campaign_to(alice, RUSSIAN)
    send()
    assert dict(kannel.got) == senders() == {RUSSIAN: None}


@pytest.mark.parametrize("before", [[VESTNIK, SHOP], []])
def test_a_retry_keeps_its_sender_although_the_gateway_has_changed(
    alice: User, kannel: Recorder, gateway: Gateway, settings: LazySettings, before: list[dict[str, Any]]
) -> None:
    allow(gateway, *before)
    campaign = campaign_to(alice, RUSSIAN)
    settings.RETRY_BASE = settings.RETRY_CAP = kannel.refusals = 1000
    send()
    first = Message.objects.get().sender
    assert statuses(campaign) == {"pending": 1}
    allow(gateway, {"name": "Other", "countries": []})
    kannel.refusals = 0
    send()
    assert statuses(campaign) == {"sent": 1}
    assert kannel.got == [(RUSSIAN, first)] * 2
    assert Message.objects.get().sender == first == ("Vestnik" if before else None)


def test_a_message_that_was_not_sent_gets_its_sender_anew(alice: User, gateway: Gateway) -> None:
    campaign = campaign_to(alice, RUSSIAN)
    token, run = uuid4(), campaign.runs.get()
    leased = lease({run.pk: 1}, token, registry.route_of("kannel"))
    assert [message.sender for message in leased] == ["Vestnik"]
    release(token, leased)
    assert senders() == {RUSSIAN: None}
    allow(gateway, SHOP)
    assert [message.sender for message in lease({run.pk: 1}, token, registry.route_of("kannel"))] == ["Shop"]


def test_another_gateway_chooses_its_own_sender(
    alice: User, kannel: Recorder, gateway: Gateway, settings: LazySettings
) -> None:
    second = Gateway.objects.create(
        name="second", kind="kannel", url=kannel.url, username="u", secret="p", senders=[{**SHOP, "name": "Second"}]
    )
    Gateway.objects.filter(pk=gateway.pk).update(fallback=second)
    campaign_to(alice, RUSSIAN, sender="Vestnik")
    settings.RETRY_BASE = settings.RETRY_CAP = kannel.refusals = 1000
    send()
    assert kannel.got == [(RUSSIAN, "Vestnik")]
    Gateway.objects.filter(pk=gateway.pk).update(active=False)
    kannel.refusals, kannel.got = 0, []
    send("second")
    assert kannel.got == [(RUSSIAN, "Second")]
    assert senders() == {RUSSIAN: "Second"}


@pytest.mark.parametrize(("support", "expected"), [("optional", "Shop"), ("unsupported", None)])
def test_a_described_provider_gets_it_if_it_takes_any(
    alice: User, kannel: Recorder, support: str, expected: str | None
) -> None:
    definition = f"""
        version = 1
        label = "Test"
        sender = "{support}"
        [request]
        method = "GET"
        url = "{{url}}/send"
        query = {{ to = "{{phone}}"{', from = "{sender}"' if expected else ""} }}
        [answer]
        body = "text"
        rules = [{{ status = ["2xx"], outcome = "accepted" }}]
    """
    described = Gateway.objects.create(
        name="described", kind="http", url=kannel.url, definition=definition, senders=[SHOP]
    )
    campaign_to(alice, RUSSIAN, gateway=described)
    send("described")
    assert kannel.got == [(RUSSIAN, expected)]
    assert senders() == {RUSSIAN: expected}


def test_a_transactional_message_has_its_own_sender(alice: User, kannel: Recorder) -> None:
    chosen = message_send(owner=alice, phone=RUSSIAN, text="Your code is 4711.", sender="Shop")
    usual = message_send(owner=alice, phone=RUSSIAN, text="Your code is 4712.")
    assert (chosen.sender, usual.sender) == ("Shop", None)
    send()
    assert sorted(kannel.got, key=str) == [(RUSSIAN, "Shop"), (RUSSIAN, "Vestnik")]


def test_a_resent_message_keeps_the_chosen_sender(alice: User, kannel: Recorder) -> None:
    message = message_send(owner=alice, phone=RUSSIAN, text="Your code is 4711.", sender="Shop")
    send()
    Message.objects.filter(pk=message.pk).update(status="unknown")
    Run.objects.update(sent=0, unknown=1)
    message.refresh_from_db()
    services.message_resolve(message=message, by=alice, resolution=Resolution.RESEND)
    send()
    assert kannel.got == [(RUSSIAN, "Shop")] * 2


def test_a_test_has_the_campaigns_sender(alice: User, kannel: Recorder) -> None:
    campaign = factories.campaign(alice, draft=True, sender="Vestnik")
    for phone in (RUSSIAN, KAZAKH):
        services.campaign_test(campaign=campaign, by=alice, phone=phone)
    send()
    assert dict(kannel.got) == {RUSSIAN: "Vestnik", KAZAKH: "Shop"}


def test_names_need_no_query_per_message(alice: User, gateway: Gateway) -> None:
    campaign = factories.campaign(alice, sender="Vestnik")
    queries = []
    for start in (RUSSIAN, RUSSIAN + 100):
        phones = range(start, start + (2 if start == RUSSIAN else 20))
        Contact.objects.bulk_create([Contact(owner=alice, phone=phone, country="RU") for phone in phones])
        campaign_advance(campaign.pk)
        route = registry.route_of("kannel")
        with CaptureQueriesContext(connection) as captured:
            assert len(lease({campaign.runs.get().pk: 100}, uuid4(), route)) == len(phones)
        queries.append(len(captured))
    assert queries[0] == queries[1]


def test_a_gateway_without_names_ignores_stored_ones(alice: User, settings: LazySettings) -> None:
    settings.GATEWAY = "probe"
    row = Gateway.objects.create(name="probe", senders=[VESTNIK])
    assert not registry.senders_of(row)
    assert registry.route_of("probe").sender_of(RUSSIAN, "Vestnik") == ""
