"""`/metrics`: its contents and its access control."""

import os
from collections import Counter
from datetime import timedelta
from uuid import uuid4

import pytest
import time_machine
from django.core.cache import cache
from django.db import OperationalError
from django.db.models import Count
from django.test import Client
from django.utils.timezone import now
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.models import User
from campaigns.gateways.protocol import Verdict
from campaigns.gateways.routing import Route
from campaigns.metrics import GATEWAY_SECONDS, IN_FLIGHT, LEASES_RESCUED
from campaigns.models import Attempt, Campaign, Gateway, Lease, Message, Run
from campaigns.sandbox.server import running_sandbox
from campaigns.sending.lease import lease
from campaigns.sending.rescuer import rescue
from campaigns.states import MessageStatus
from project.core import sql
from project.core.env import parse_networks
from project.core.version import VERSION
from project.observability.metrics import meters
from project.observability.metrics.models import Measure
from project.queue.broker import canary
from tests.campaigns.browser_client import browser
from tests.campaigns.engine import send_everything
from tests.campaigns.outcomes import started
from tests.conftest import ApiClient


@pytest.fixture(autouse=True)
def no_worker(db: None) -> None:
    cache.clear()


def text_of(client: Client) -> str:
    """The response of `/metrics`, with all measurements so far."""
    meters.flush()
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain")
    return answer.content.decode()


def figures(client: Client) -> dict[tuple[str, ...], float]:
    """Every sample by name and label values, as the official parser reads them."""
    return parsed(text_of(client))


def parsed(text: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *(value for _label, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def campaign(owner: User, **fields: object) -> Campaign:
    return Campaign.objects.create(owner=owner, name="Sale", ends_at=now() + timedelta(hours=1), **fields)


def test_messages_and_campaigns_agree_with_the_database(client: Client, alice: User) -> None:
    running = campaign(alice, text="Hello", status="running")
    campaign(alice, text="Bye", status="draft")
    campaign(alice, text="Soon", status="draft")
    for day, sent in ((1, 5), (2, 7)):
        Run.objects.create(
            campaign=running, occurrence=now() - timedelta(days=day), ends_at=now(), sent=sent, failed=1, pending=2
        )
    read = figures(client)
    assert read["vestnik_messages", "sent"] == 12
    assert read["vestnik_messages", "failed"] == 2
    assert read["vestnik_messages", "pending"] == 4
    assert read["vestnik_messages", "delivered"] == 0
    assert read["vestnik_campaigns", "running"] == 1
    assert read["vestnik_campaigns", "draft"] == 2
    assert read["vestnik_campaigns", "finished"] == 0


def test_worker_and_circuit_breaker_are_exported(client: Client) -> None:
    Gateway.objects.create(name="closed")
    Gateway.objects.create(name="open", open_until=now())
    read = figures(client)
    assert read["vestnik_worker_alive",] == 0
    assert read["vestnik_gateway_open", "open"] == 1
    assert read["vestnik_gateway_open", "closed"] == 0
    canary("host-1")
    assert figures(client)["vestnik_worker_alive",] == 1


def test_the_number_of_queries_does_not_grow(
    client: Client, alice: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(5):
        campaign(alice, text=f"Text {number}", status="draft")
    with django_assert_max_num_queries(9):
        figures(client)


def test_after_a_campaign_with_faults_it_agrees_with_the_database(
    client: Client, alice: User, settings: Settings
) -> None:
    settings.RETRY_BASE = settings.RETRY_CAP = 0.01
    campaign, run = started(alice, contacts=60)
    before = figures(client)
    assert before["vestnik_backlog_messages",] == 60
    assert before["vestnik_backlog_age_seconds",] >= 0
    with running_sandbox(seed=1) as sandbox:
        sandbox.faults = sandbox.faults.updated({"error": 0.2, "refuse": 0.1})
        send_everything(campaign, sandbox)
    read = figures(client)
    rows = dict(Message.objects.values_list("status").annotate(Count("pk")).order_by())
    assert rows.keys() == {"sent", "failed"}
    for state in MessageStatus.values:
        assert read["vestnik_messages", state] == rows.get(state, 0)
        if state in rows:
            assert read["vestnik_gateway_messages_total", "probe", state] == rows[state]
    failures = Counter(Attempt.objects.values_list("http_status", flat=True))
    requests = {outcome: read.get(("vestnik_gateway_request_seconds_count", "probe", outcome)) for outcome in Verdict}
    counted = {"sent": rows["sent"], "retry": failures[500], "refused": failures[400]}
    assert requests == {**counted, "held": None, "unauthorised": None}
    run.refresh_from_db()
    assert sum(filter(None, requests.values())) == run.attempts == sandbox.ledger.requests
    assert read["vestnik_gateway_request_seconds_bucket", "probe", "+Inf", "sent"] == rows["sent"]
    assert read["vestnik_gateway_requests_in_flight", "probe"] == 0
    assert read["vestnik_start_lateness_seconds_count",] == 1
    assert read["vestnik_backlog_messages",] == read["vestnik_backlog_age_seconds",] == 0


def test_rescued_leases_are_counted(client: Client, alice: User) -> None:
    assert figures(client)["vestnik_leases_rescued_total",] == 0
    _campaign, run = started(alice, contacts=2)
    lease({run.pk: 2}, uuid4(), Route("probe"))
    Lease.objects.update(until=now())
    rescue(idempotent=lambda _: True)
    read = figures(client)
    assert read["vestnik_leases_rescued_total",] == 1
    assert read["vestnik_messages_rescued_total", "pending"] == 2


def test_pages_and_calls_are_timed_by_their_names(client: Client, alice: User) -> None:
    browser(alice).get("/contacts/", {"q": "nobody"})
    ApiClient(alice).get("/contacts")
    client.get("/nothing-here")
    client.generic("BREW", "/")
    client.get("/healthz")
    read = figures(client)
    name = "vestnik_http_request_seconds_count"
    counted = {series[1:]: value for series, value in read.items() if series[0] == name}
    assert counted == {
        ("GET", "2xx", "directory:contacts"): 1,
        ("GET", "2xx", "api:list_contacts"): 1,
        ("GET", "4xx", "none"): 1,
        ("other", "4xx", "home"): 1,
    }


@pytest.mark.django_db(transaction=True)
def test_metrics_of_processes_are_summed(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    buffers = [meters.Buffer(), meters.Buffer()]
    for number, buffer in enumerate(buffers):
        monkeypatch.setattr(meters, "_buffer", buffer)
        monkeypatch.setattr(os, "getpid", lambda pid=number: pid)
        LEASES_RESCUED.add(number=2)
        GATEWAY_SECONDS.observe("probe", "sent", seconds=[0.004, 0.2])
        IN_FLIGHT.set("probe", value=7)
        meters.flush()
        meters.flush()
    read = figures(client)
    assert read["vestnik_leases_rescued_total",] == 4
    assert read["vestnik_gateway_requests_in_flight", "probe"] == 14
    bucket = "vestnik_gateway_request_seconds_bucket"
    assert [read[bucket, "probe", bound, "sent"] for bound in ("0.01", "0.1", "0.25")] == [2, 2, 4]
    assert read["vestnik_gateway_request_seconds_sum", "probe", "sent"] == pytest.approx(0.408)
    IN_FLIGHT.set("probe", value=0)
    with time_machine.travel(now() + timedelta(minutes=1), tick=False):  # the other process has reported nothing since
        read = figures(client)
        meters.prune()
    assert read["vestnik_gateway_requests_in_flight", "probe"] == 0
    assert Measure.objects.exclude(until=None).count() == 1


def test_version_is_exported(client: Client) -> None:
    assert figures(client)["vestnik_build_info", VERSION] == 1
    assert figures(client)["vestnik_database_up",] == 1


def test_measurements_wait_for_the_database(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    LEASES_RESCUED.add()

    def away(*_args: object) -> None:
        raise OperationalError("away")

    with monkeypatch.context() as outage:
        outage.setattr(sql, "execute", away)
        meters.flush()
        meters.flush_soon()
    assert not Measure.objects.exists()
    assert figures(client)["vestnik_leases_rescued_total",] == 1


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.1.2.3"])
def test_an_allowed_address_reads(client: Client, settings: Settings, address: str) -> None:
    settings.METRICS_ALLOWED = parse_networks("127.0.0.1,::1,10.0.0.0/8")
    assert client.get("/metrics", REMOTE_ADDR=address).status_code == 200


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1", ""])
def test_any_other_address_is_refused(client: Client, address: str) -> None:
    assert client.get("/metrics", REMOTE_ADDR=address).status_code == 403


def test_forwarded_header_grants_no_access(client: Client) -> None:
    answer = client.get("/metrics", REMOTE_ADDR="192.0.2.1", headers={"X-Forwarded-For": "127.0.0.1"})
    assert answer.status_code == 403


@pytest.mark.parametrize("way", ["192.0.2.1", "127.0.0.1, 192.0.2.1", "192.0.2.1, 127.0.0.1", "nonsense"])
def test_a_proxy_on_an_allowed_address_does_not_open_it_to_the_world(client: Client, way: str) -> None:
    assert client.get("/metrics", headers={"X-Forwarded-For": way}).status_code == 403
    assert client.get("/metrics", headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 200
