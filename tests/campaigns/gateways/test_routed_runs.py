"""Gateways that take different numbers: each message goes by the one that carries its number, at that one's price."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.conf import LazySettings
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from campaigns import services
from campaigns.gateways import registry
from campaigns.messages import transactional
from campaigns.models import Campaign, Gateway, Message, Price, Run, RunCost
from campaigns.planning.lifecycle import campaign_advance
from campaigns.prices.estimate import priced_audience
from campaigns.sandbox.server import Sandbox, running_sandbox
from campaigns.sending.lease import lease
from campaigns.sending.session import SendSession
from campaigns.sending.transport import transport_for
from directory.audiences.audience import Audience
from directory.models import Contact
from project.core.clock import now
from tests import factories
from tests.campaigns.engine import Inline, assert_counters_match, statuses

pytestmark = pytest.mark.django_db

# First phones of five countries; each gets a few more.
PHONES = {"RU": 79160000000, "KZ": 77010000000, "DE": 4915112345670, "GB": 447400123450, "FR": 33612345670}
EACH = 4
CARRIES = {"probe": "RU", "east": "KZ,7916", "west": "DE,GB,FR"}
EXPECTED = {"RU": "probe", "KZ": "east", "DE": "west", "GB": "west", "FR": "west"}
PRICES = {
    ("probe", ""): "2.75",
    ("probe", "RU"): "2.5",
    ("east", "7701"): "0.333333",
    ("west", "DE"): "7.01",
    ("west", ""): "4.999999",
}
COST = {"RU": "2.5", "KZ": "0.333333", "DE": "7.01", "GB": "4.999999", "FR": "4.999999"}


@pytest.fixture(autouse=True)
def gateways(sandbox: Sandbox, settings: LazySettings) -> Iterator[dict[str, Sandbox]]:
    """Three gateways that take different numbers, with their prices."""
    settings.PHONE_COUNTRIES = ["*"]
    settings.GATEWAY_URL, settings.RETRY_BASE, settings.RETRY_CAP = sandbox.url, 0.01, 0.1
    Gateway.objects.create(name="probe", carries=CARRIES["probe"])
    for (name, area), price in PRICES.items():
        Price.objects.create(gateway=name, area=area, price=Decimal(price), valid_from=date(2026, 1, 1))
    with ExitStack() as stack:
        running = {"probe": sandbox}
        for seed, name in enumerate(("east", "west"), 2):
            running[name] = stack.enter_context(running_sandbox(seed=seed))
            Gateway.objects.create(
                name=name, kind="probe", url=running[name].url, secret=settings.GATEWAY_TOKEN, carries=CARRIES[name]
            )
        yield running


def campaign_to_all(owner: User, **fields: object) -> Campaign:
    """A campaign of two parts to everyone in the five countries."""
    for phone in PHONES.values():
        for number in range(EACH):
            factories.contact(owner, phone=phone + number)
    campaign = services.campaign_create(
        owner=owner,
        name="Sale",
        text="x" * 161,
        audience=Audience(),
        ends_at=now() + timedelta(hours=1),
        **fields,  # type: ignore[arg-type]
    )
    campaign_advance(campaign.pk)
    return campaign


def send_by(*names: str) -> None:
    for name in names:
        driver = registry.driver(name)
        transport = transport_for(driver)
        try:
            SendSession(driver, transport, executor=Inline(), limits=registry.limits(name)).run()
        finally:
            transport.close()


def sent_by_country() -> Counter[tuple[str, str]]:
    rows = Message.objects.filter(status="sent").values_list("contact__country", "gateway")
    return Counter((str(country), str(gateway)) for country, gateway in rows)


def test_a_campaign_to_five_countries_goes_by_three_gateways(alice: User, gateways: dict[str, Sandbox]) -> None:
    Gateway.objects.filter(pk="east").update(carries="KZ")
    campaign = campaign_to_all(alice)
    priced = priced_audience(Audience(), None, None)
    assert priced
    estimate = priced.estimate(2)
    assert Run.objects.get().routed
    send_by("west")
    assert statuses(campaign) == {"sent": 3 * EACH, "pending": 2 * EACH}
    send_by("east", "probe")
    assert sent_by_country() == dict.fromkeys(EXPECTED.items(), EACH)
    assert {name: running.ledger.accepted for name, running in gateways.items()} == {
        "probe": EACH, "east": EACH, "west": 3 * EACH,
    }  # fmt: skip
    costs = {(row.country, row.gateway): (row.messages, row.parts, row.cost) for row in RunCost.objects.all()}
    assert costs == {
        (country, gateway): (EACH, 2 * EACH, 2 * EACH * int(Decimal(COST[country]) * 10**6))
        for country, gateway in EXPECTED.items()
    }
    assert {(row.country, row.gateway): (row.recipients, row.parts, row.cost) for row in estimate.rows} == costs
    assert estimate.cost == Run.objects.get().cost
    assert (estimate.unpriced, estimate.unreachable) == ({}, {})
    assert_counters_match(campaign)


def test_the_longest_prefix_decides(alice: User) -> None:
    campaign_to_all(alice)
    routes = set(Message.objects.values_list("contact__country", "route"))
    assert routes == {*EXPECTED.items()} - {("RU", "probe")} | {("RU", "east")}


@pytest.mark.parametrize(("named", "german"), [(None, "east"), ("west", "west")])
def test_a_named_gateway_carries_all_that_it_takes(alice: User, named: str | None, german: str) -> None:
    Gateway.objects.filter(pk="east").update(carries="KZ,4915")
    campaign_to_all(alice, gateway=Gateway.objects.filter(pk=named).first())
    routes = dict(Message.objects.values_list("contact__country", "route"))
    assert routes == {**EXPECTED, "DE": german}


def test_a_number_that_no_gateway_takes_fails_with_a_reason(alice: User) -> None:
    Gateway.objects.filter(pk="west").update(carries="DE,GB")
    campaign = campaign_to_all(alice)
    send_by("probe", "east", "west")
    assert statuses(campaign) == {"sent": 4 * EACH, "failed": EACH}
    assert set(Message.objects.filter(status="failed").values_list("reason", "contact__country")) == {
        ("no_gateway", "FR")
    }
    with pytest.raises(ValidationError, match="No gateway takes"):
        transactional.message_send(owner=alice, phone="+33 6 12 34 56 70", text="Hello")


def test_the_areas_are_read_once_for_all_numbers_that_no_gateway_takes(alice: User) -> None:
    Gateway.objects.filter(pk="west").update(carries="GB")
    campaign = campaign_to_all(alice)
    with CaptureQueriesContext(connection) as queries:
        lease({campaign.runs.get().pk: 100}, uuid4(), registry.route_of("probe"))
    assert statuses(campaign)["failed"] == 2 * EACH
    assert sum('FROM "campaigns_gateway"' in query["sql"] for query in queries) == 2


def test_a_message_follows_a_phone_to_another_country(alice: User) -> None:
    campaign = campaign_to_all(alice)
    moved = Contact.objects.get(phone=PHONES["DE"])
    moved.phone = PHONES["KZ"] + EACH
    moved.save()
    send_by("west", "east", "probe")
    assert statuses(campaign) == {"sent": 5 * EACH}
    assert Message.objects.get(contact=moved).gateway_id == "east"


def test_the_fallback_carries_for_a_stopped_gateway(alice: User, gateways: dict[str, Sandbox]) -> None:
    Gateway.objects.filter(pk="probe").update(carries="RU,DE,GB,FR")
    Gateway.objects.filter(pk="west").update(fallback="probe")
    Gateway.objects.filter(pk="east").update(carries="KZ")
    campaign = campaign_to_all(alice)
    Gateway.objects.filter(pk="west").update(active=False)
    send_by("east", "probe")
    assert statuses(campaign) == {"sent": 5 * EACH}
    assert gateways["west"].ledger.accepted == 0
    assert gateways["probe"].ledger.accepted == 4 * EACH


def test_a_transactional_message_goes_by_the_gateway_of_its_number(alice: User) -> None:
    message = transactional.message_send(owner=alice, phone="+49 1511 2345670", text="Hello")
    assert message.run.campaign.gateway_id == "west"
    send_by("west")
    message.refresh_from_db()
    assert (message.status, message.cost) == ("sent", 7_010_000)


def test_a_gateway_has_no_backlog_of_others(alice: User) -> None:
    campaign_to_all(alice)
    assert Run.objects.backlog_exceeds(0, registry.route_of("east"))
    send_by("east")
    assert not Run.objects.backlog_exceeds(0, registry.route_of("east"))
    assert Run.objects.backlog_exceeds(0, registry.route_of("west"))
    assert Run.objects.next_due(registry.route_of("east")) is None
    assert Run.objects.next_due(registry.route_of("west")) is not None
