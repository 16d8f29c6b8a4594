"""`/metrics`: what Prometheus reads, and who may."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils.timezone import now
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.models import User
from campaigns.models import Campaign, Gateway, Run
from project.env import parse_networks
from project.queue import canary


@pytest.fixture(autouse=True)
def no_worker(db: None) -> None:
    cache.clear()


def figures(client: Client) -> dict[tuple[str, str], float]:
    """Every sample by its name and its one label's value."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain")
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
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


def test_the_worker_and_the_breaker_are_told(client: Client) -> None:
    Gateway.objects.create(name="closed")
    Gateway.objects.create(name="open", open_until=now())
    read = figures(client)
    assert read["vestnik_worker_alive", ""] == 0
    assert read["vestnik_gateway_open", "open"] == 1
    assert read["vestnik_gateway_open", "closed"] == 0
    canary("host-1")
    assert figures(client)["vestnik_worker_alive", ""] == 1


def test_the_number_of_queries_does_not_grow(
    client: Client, alice: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(5):
        campaign(alice, text=f"Text {number}", status="draft")
    with django_assert_max_num_queries(5):
        figures(client)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.1.2.3"])
def test_an_allowed_address_reads(client: Client, settings: Settings, address: str) -> None:
    settings.METRICS_ALLOWED = parse_networks("127.0.0.1,::1,10.0.0.0/8")
    assert client.get("/metrics", REMOTE_ADDR=address).status_code == 200


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1", ""])
def test_any_other_address_is_refused(client: Client, address: str) -> None:
    assert client.get("/metrics", REMOTE_ADDR=address).status_code == 403


def test_a_header_opens_nothing(client: Client) -> None:
    answer = client.get("/metrics", REMOTE_ADDR="192.0.2.1", headers={"X-Forwarded-For": "127.0.0.1"})
    assert answer.status_code == 403


@pytest.mark.parametrize("way", ["192.0.2.1", "127.0.0.1, 192.0.2.1", "192.0.2.1, 127.0.0.1", "nonsense"])
def test_a_proxy_on_an_allowed_address_does_not_open_it_to_the_world(client: Client, way: str) -> None:
    assert client.get("/metrics", headers={"X-Forwarded-For": way}).status_code == 403
    assert client.get("/metrics", headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 200
