"""Leases of dead workers, and how messages are rescued from them."""

import uuid
from datetime import timedelta

import pytest
from django.utils.timezone import now
from django_q.models import OrmQ

from accounts.models import User
from campaigns import services, tasks
from campaigns.gateways.routing import Route
from campaigns.models import Attempt, Campaign, Lease, Message
from campaigns.planning.lifecycle import SEND, advance, campaign_advance
from campaigns.sending import rescuer
from campaigns.sending.decisions import Leased
from campaigns.sending.lease import lease
from campaigns.sending.outcomes import release
from directory.audiences.audience import Audience
from tests.campaigns.engine import assert_counters_match, hints, statuses
from tests.factories import contact


@pytest.fixture
def running(alice: User) -> Campaign:
    """A campaign with three due messages."""
    for _ in range(3):
        contact(alice)
    campaign = services.campaign_create(
        owner=alice, name="Sale", text="Hello", audience=Audience(), ends_at=now() + timedelta(hours=1)
    )
    campaign_advance(campaign.pk)
    return campaign


def lease_some(campaign: Campaign, limit: int = 10) -> tuple[uuid.UUID, list[Leased]]:
    token = uuid.uuid4()
    return token, lease({campaign.runs.get().pk: limit}, token, Route("probe"))


def expire_leases(messages: list[Leased]) -> None:
    tokens = Message.objects.filter(pk__in=[message.id for message in messages]).values("lease_token")
    Lease.objects.filter(token__in=tokens).update(until=now() - timedelta(seconds=1))


def test_two_workers_never_hold_the_same_message(running: Campaign) -> None:
    _, first = lease_some(running, 2)
    _, second = lease_some(running, 2)
    assert len(first) == 2
    assert len(second) == 1
    assert not {message.id for message in first} & {message.id for message in second}
    assert_counters_match(running)


def test_messages_of_an_expired_lease_are_retried_with_the_same_payload(running: Campaign) -> None:
    _, leased = lease_some(running, 2)
    lease_some(running)
    expire_leases(leased)
    assert rescuer.rescue(idempotent=lambda _: True) == 2
    assert statuses(running) == {"pending": 2, "sending": 1}
    assert_counters_match(running)
    assert Attempt.objects.filter(reason="worker_died", uncertain=True).count() == 2
    services.campaign_pause(campaign=running, by=running.owner)
    changed = services.campaign_update(campaign=running, by=running.owner, text="Changed")
    services.campaign_resume(campaign=changed, by=changed.owner)
    _, retried = lease_some(running)
    assert {message.text for message in retried} == {"Hello"}


def test_a_valid_lease_is_kept(running: Campaign) -> None:
    lease_some(running)
    assert rescuer.rescue(idempotent=lambda _: True) == 0


def test_three_leases_without_an_outcome_lead_to_quarantine(running: Campaign) -> None:
    for _ in range(3):
        _, leased = lease_some(running)
        expire_leases(leased)
        rescuer.rescue(idempotent=lambda _: True)
    assert statuses(running) == {"unknown": 3}
    assert set(Message.objects.values_list("reason", flat=True)) == {"quarantined"}
    assert_counters_match(running)


def test_messages_of_a_gateway_that_is_not_idempotent_become_unknown(running: Campaign) -> None:
    _, leased = lease_some(running)
    expire_leases(leased)
    rescuer.rescue(idempotent=lambda _: False)
    assert statuses(running) == {"unknown": 3}
    assert set(Message.objects.values_list("reason", flat=True)) == {"worker_died"}


def test_a_released_message_looks_as_if_never_leased(running: Campaign) -> None:
    token, leased = lease_some(running)
    release(token, leased)
    assert set(Message.objects.values_list("status", "attempts", "leases", "phone", "text")) == {
        ("pending", 0, 0, None, "")
    }
    assert_counters_match(running)


def test_a_rescued_lease_releases_nothing(running: Campaign) -> None:
    token, leased = lease_some(running)
    expire_leases(leased)
    rescuer.rescue(idempotent=lambda _: True)
    _, retried = lease_some(running)
    release(token, leased)
    assert len(retried) == 3
    assert statuses(running) == {"sending": 3}


@pytest.mark.usefixtures("running")
def test_the_sweep_recreates_lost_hints() -> None:
    OrmQ.objects.all().delete()
    tasks.sweep()
    assert hints(advance.name) == 1
    assert hints(SEND) == 1
