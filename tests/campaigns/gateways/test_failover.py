"""Several gateways: campaigns use their own, or its fallback while it is stopped; no message is sent by two."""

from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_q.models import OrmQ

from accounts.models import User
from campaigns import services
from campaigns.gateways import registry
from campaigns.gateways.routing import Route
from campaigns.messages import transactional
from campaigns.models import Attempt, Campaign, Gateway, GatewayHour, Message, Run
from campaigns.planning.lifecycle import campaign_advance, hint_send
from campaigns.sandbox.server import Sandbox, running_sandbox
from campaigns.sending import circuit_breaker, rescuer
from campaigns.sending.lease import lease
from campaigns.sending.session import SendSession
from campaigns.sending.transport import transport_for
from campaigns.tasks import _hint_remaining
from directory.audiences.audience import Audience
from directory.models import Contact
from project.core.clock import now
from tests.campaigns.browser_client import browser
from tests.campaigns.engine import Inline, assert_counters_match, hints, statuses
from tests.conftest import ApiClient

pytestmark = pytest.mark.django_db

SEND = "campaigns.tasks.send"
PHONE = "79991234567"


@pytest.fixture(autouse=True)
def usual(sandbox: Sandbox, settings: LazySettings) -> Gateway:
    """The gateway of the settings, with the second one as its fallback."""
    settings.GATEWAY_URL, settings.RETRY_BASE, settings.RETRY_CAP, settings.MAX_ATTEMPTS = sandbox.url, 0.01, 0.1, 50
    settings.GATEWAY_CONCURRENCY = 10
    return Gateway.objects.create(name="probe")


@pytest.fixture
def other(usual: Gateway, settings: LazySettings) -> Iterator[Sandbox]:
    with running_sandbox(seed=2) as running:
        second = Gateway.objects.create(
            name="second", kind="probe", url=running.url, secret=settings.GATEWAY_TOKEN, concurrency=5
        )
        Gateway.objects.filter(pk=usual.pk).update(fallback=second)
        yield running


def make(owner: User, number: int, gateway: str | None = None) -> Campaign:
    phones = range(79050000000, 79050000000 + number)
    Contact.objects.bulk_create(
        [Contact(owner=owner, phone=phone, operator_code="905") for phone in phones], ignore_conflicts=True
    )
    campaign = services.campaign_create(
        owner=owner,
        name="Sale",
        text=f"Sale by {gateway}",
        audience=Audience(),
        ends_at=now() + timedelta(hours=1),
        gateway=Gateway.objects.get(pk=gateway) if gateway else None,
    )
    campaign_advance(campaign.pk)
    return campaign


def send_by(name: str) -> None:
    """Run a session of that gateway, after making all pending messages due."""
    Message.objects.waiting().update(due_at=now())
    driver = registry.driver(name)
    transport = transport_for(driver)
    try:
        SendSession(driver, transport, executor=Inline(), limits=registry.limits(name)).run()
    finally:
        transport.close()


def hours() -> dict[str, int]:
    return dict(GatewayHour.objects.values_list("gateway", "sent"))


def test_each_campaign_uses_its_own_gateway(alice: User, sandbox: Sandbox, other: Sandbox) -> None:
    first, second_one = make(alice, 10), make(alice, 10, "second")
    send_by("second")
    assert (statuses(first), statuses(second_one)) == ({"pending": 10}, {"sent": 10})
    send_by("probe")
    assert statuses(first) == {"sent": 10}
    assert (sandbox.ledger.accepted, other.ledger.accepted) == (10, 10)
    assert hours() == {"probe": 10, "second": 10}
    assert set(Message.objects.values_list("run__campaign", "gateway")) == {
        (first.pk, "probe"),
        (second_one.pk, "second"),
    }


def test_the_fallback_takes_over_except_for_uncertain_messages(alice: User, sandbox: Sandbox, other: Sandbox) -> None:
    campaign = make(alice, 120)
    sandbox.faults = sandbox.faults.updated({"lost": 1.0})  # accepted, but the answer is lost
    send_by("probe")
    assert Gateway.objects.get(pk="probe").stopped
    accepted = set(sandbox.ledger.messages)
    assert 20 <= len(accepted) < 120
    send_by("second")
    assert set(other.ledger.messages).isdisjoint(accepted)
    assert statuses(campaign) == {"sent": 120 - len(accepted), "pending": len(accepted)}
    sandbox.faults = sandbox.faults.updated({"lost": 0})
    circuit_breaker.return_probe("probe")
    send_by("probe")
    send_by("probe")
    assert statuses(campaign) == {"sent": 120}
    assert set(other.ledger.messages).isdisjoint(sandbox.ledger.messages)
    assert_counters_match(campaign)


def test_messages_certainly_not_accepted_are_sent_by_the_fallback(
    alice: User, sandbox: Sandbox, other: Sandbox, settings: LazySettings
) -> None:
    campaign = make(alice, 40)
    url, settings.GATEWAY_URL = settings.GATEWAY_URL, "http://127.0.0.1:9"  # nothing listens here
    send_by("probe")
    assert set(Attempt.objects.values_list("reason", flat=True)) == {"unreachable"}
    settings.GATEWAY_URL = url
    send_by("second")
    assert statuses(campaign) == {"sent": 40}
    assert (sandbox.ledger.accepted, other.ledger.accepted) == (0, 40)


def test_messages_uncertain_at_the_fallback_stay_there(alice: User, sandbox: Sandbox, other: Sandbox) -> None:
    campaign = make(alice, 120)
    Gateway.objects.filter(pk="probe").update(open_until=now() + timedelta(minutes=1), opened_at=now())
    other.faults = other.faults.updated({"lost": 1.0})
    send_by("second")
    held = set(other.ledger.messages)
    assert 20 <= len(held) < 120
    circuit_breaker.close("probe")
    send_by("probe")
    assert set(sandbox.ledger.messages).isdisjoint(held)
    assert statuses(campaign) == {"sent": 120 - len(held), "pending": len(held)}
    other.faults = other.faults.updated({"lost": 0})
    circuit_breaker.close("second")
    send_by("second")
    assert statuses(campaign) == {"sent": 120}
    assert set(sandbox.ledger.messages).isdisjoint(other.ledger.messages)


def test_a_message_of_a_dead_worker_stays_with_its_gateway(alice: User, other: Sandbox, settings: LazySettings) -> None:
    campaign = make(alice, 1)
    (run,) = Run.objects.filter(campaign=campaign).select_related("campaign")
    lease({run.pk: 1}, uuid4(), Route("probe"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rescuer, "now", lambda: now() + timedelta(minutes=5))
        assert rescuer.rescue(idempotent=registry.is_idempotent) == 1
    Gateway.objects.filter(pk="probe").update(open_until=now() + timedelta(minutes=1))
    send_by("second")
    assert (statuses(campaign), other.ledger.requests) == ({"pending": 1}, 0)


def test_a_disabled_gateway_is_replaced_by_its_fallback(alice: User, other: Sandbox) -> None:
    campaign = make(alice, 3)
    Gateway.objects.filter(pk="probe").update(active=False)
    assert registry.active_names() == ["second"]
    send_by("second")
    assert statuses(campaign) == {"sent": 3}


def test_every_gateway_with_work_gets_a_hint(alice: User, other: Sandbox) -> None:
    make(alice, 3)
    hint_send()
    assert hints(SEND) == 2
    Gateway.objects.filter(pk="probe").update(open_until=now() + timedelta(seconds=20), opened_at=now())
    assert registry.route_of("second").served == {"probe", "second"}
    OrmQ.objects.all().delete()
    _hint_remaining(set())
    later = dict(OrmQ.objects.values_list("key", "lock"))
    assert len(later) == 2
    assert [key.endswith("second") for key, due in later.items() if due <= now()] == [True]


def test_hints_for_several_gateways_are_left_in_a_fixed_order() -> None:
    """Otherwise two transactions that leave hints for several gateways could deadlock."""
    for name in ("zeta", "eta", "theta"):
        Gateway.objects.create(name=name, kind="probe", url="http://127.0.0.1:9")
    assert registry.active_names() == ["probe", "eta", "theta", "zeta"]


def test_a_single_gateway_needs_no_route(alice: User) -> None:
    assert registry.route_of("probe").sole
    hint_send()
    assert hints(SEND) == 1


class TestSingleMessages:
    def test_a_message_uses_the_given_gateway(self, alice: User, sandbox: Sandbox, other: Sandbox) -> None:
        second, client = Gateway.objects.get(pk="second"), ApiClient(alice)
        bodies = [{"gateway": name} for name in ("second", "probe", None)] + [{}]
        ids = []
        for body in bodies:
            answer = client.post("/messages", {"phone": PHONE, "text": "Hi", **body}, content_type="application/json")
            assert answer.status_code == 202, answer.content
            ids.append(answer.json()["id"])
        again = transactional.message_resend(Message.objects.select_related("run__campaign__owner").get(pk=ids[0]))
        assert again.run.campaign.gateway == second
        send_by("second")
        send_by("probe")
        assert set(other.ledger.messages) == {ids[0], again.pk}
        assert set(sandbox.ledger.messages) == set(ids[1:])
        assert client.get(f"/messages/{ids[0]}").json()["gateway"] == "second"
        assert Campaign.objects.filter(transactional=True).count() == 2

    def test_a_test_uses_the_campaigns_gateway(self, alice: User, sandbox: Sandbox, other: Sandbox) -> None:
        campaign = make(alice, 1, "second")
        tested = services.campaign_test(campaign=campaign, by=alice, phone=PHONE)
        composed = {"phone": str(PHONE), "text": "Not saved yet", "gateway": "second"}
        assert browser(alice).post("/campaigns/test/", composed).status_code == 200
        send_by("probe")
        send_by("second")
        assert (sandbox.ledger.accepted, other.ledger.accepted) == (0, 3)
        assert tested.pk in other.ledger.messages


class TestApi:
    def test_a_campaign_names_its_gateway(self, alice: User, other: Sandbox) -> None:
        client = ApiClient(alice)
        body = {"name": "Sale", "text": "Sale", "ends_at": "2099-01-01T00:00:00Z", "starts_at": "2098-01-01T00:00:00Z"}

        def patched(**changes: object) -> object:
            return client.patch(address, changes, content_type="application/json").json()

        made = client.post("/campaigns", {**body, "gateway": "second"}, content_type="application/json").json()
        address = f"/campaigns/{made['id']}"
        assert made["gateway"] == client.get(address).json()["gateway"] == "second"
        assert patched(name="Sold")["gateway"] == "second"  # type: ignore[index]
        assert patched(gateway=None)["gateway"] is None  # type: ignore[index]
        assert "gateway" in str(patched(gateway="nobody"))
        Campaign.objects.update(status="running")
        assert "gateway" in str(patched(gateway="second"))
        assert Campaign.objects.get().gateway is None

    @pytest.mark.parametrize("name", ["nobody", "", "x" * 41, 7, "kannel"])
    def test_an_unknown_gateway_is_refused(self, alice: User, other: Sandbox, name: object) -> None:
        body = {"phone": PHONE, "text": "Hi", "gateway": name}
        answer = ApiClient(alice).post("/messages", body, content_type="application/json")
        assert answer.status_code == 422
        assert "gateway" in answer.content.decode()
        assert not Message.objects.exists()


@pytest.mark.parametrize(
    ("own", "fallback", "takes"),
    [
        (None, None, True),
        (None, "kannel", False),
        ("probe", None, True),
        ("probe", "probe", True),
        ("probe", "kannel", False),
        ("kannel", "probe", False),
    ],
)
def test_a_retry_is_safe_only_if_all_possible_gateways_are_idempotent(
    alice: User, usual: Gateway, own: str | None, fallback: str | None, takes: bool
) -> None:
    second = Gateway.objects.create(name="second", kind=fallback) if fallback else None
    home = Gateway.objects.create(name="own", kind=own) if own else usual
    Gateway.objects.filter(pk=home.pk).update(fallback=second)
    campaign = make(alice, 1, home.pk if own else None)
    with CaptureQueriesContext(connection) as queries:
        assert registry.all_gateways_idempotent(campaign) is takes
    assert len(queries) == 1
