"""What a dead worker leaves behind, and how it is put right."""

import uuid
from datetime import timedelta

import pytest
from django.utils.timezone import now
from django_q.models import OrmQ

from accounts.models import User
from campaigns import services, tasks
from campaigns.lifecycle import ADVANCE, SEND, campaign_advance
from campaigns.models import Attempt, Campaign, Lease, Message
from campaigns.routing import Route
from campaigns.sending import sweeper
from campaigns.sending.lease import Leased, lease
from campaigns.sending.record import release
from directory.audience import Audience
from tests.campaigns.engine import assert_counters_true, hints, statuses
from tests.factories import contact


@pytest.fixture
def running(alice: User) -> Campaign:
    """A campaign with three messages that are due."""
    for _ in range(3):
        contact(alice)
    campaign = services.campaign_create(
        owner=alice, name="Sale", text="Hello", audience=Audience(), ends_at=now() + timedelta(hours=1)
    )
    campaign_advance(campaign.pk)
    return campaign


def take(campaign: Campaign, limit: int = 10) -> tuple[uuid.UUID, list[Leased]]:
    token = uuid.uuid4()
    return token, lease(campaign.runs.select_related("campaign").get(), token, limit, Route("probe"))


def die(messages: list[Leased]) -> None:
    tokens = Message.objects.filter(pk__in=[message.id for message in messages]).values("lease_token")
    Lease.objects.filter(token__in=tokens).update(until=now() - timedelta(seconds=1))


def test_two_workers_never_hold_the_same_message(running: Campaign) -> None:
    _, first = take(running, 2)
    _, second = take(running, 2)
    assert len(first) == 2
    assert len(second) == 1
    assert not {message.id for message in first} & {message.id for message in second}
    assert_counters_true(running)


def test_a_lease_that_ran_out_waits_for_another_attempt_with_the_same_payload(running: Campaign) -> None:
    _, leased = take(running, 2)
    take(running)
    die(leased)
    assert sweeper.rescue(idempotent=lambda _: True) == 2
    assert statuses(running) == {"pending": 2, "sending": 1}
    assert_counters_true(running)
    assert Attempt.objects.filter(reason="worker_died", uncertain=True).count() == 2
    services.campaign_pause(campaign=running, by=running.owner)
    changed = services.campaign_update(campaign=running, by=running.owner, text="Changed")
    services.campaign_resume(campaign=changed, by=changed.owner)
    _, again = take(running)
    assert {message.text for message in again} == {"Hello"}


def test_a_lease_in_good_health_is_left_alone(running: Campaign) -> None:
    take(running)
    assert sweeper.rescue(idempotent=lambda _: True) == 0


def test_three_leases_without_an_outcome_are_enough(running: Campaign) -> None:
    for _ in range(3):
        _, leased = take(running)
        die(leased)
        sweeper.rescue(idempotent=lambda _: True)
    assert statuses(running) == {"unknown": 3}
    assert set(Message.objects.values_list("reason", flat=True)) == {"quarantined"}
    assert_counters_true(running)


def test_a_gateway_that_would_write_twice_is_not_asked_again(running: Campaign) -> None:
    _, leased = take(running)
    die(leased)
    sweeper.rescue(idempotent=lambda _: False)
    assert statuses(running) == {"unknown": 3}
    assert set(Message.objects.values_list("reason", flat=True)) == {"worker_died"}


def test_what_never_left_goes_back_as_if_nothing_had_happened(running: Campaign) -> None:
    token, leased = take(running)
    release(token, leased)
    assert set(Message.objects.values_list("status", "attempts", "leases", "phone", "text")) == {
        ("pending", 0, 0, None, "")
    }
    assert_counters_true(running)


def test_a_lost_lease_gives_nothing_back(running: Campaign) -> None:
    token, leased = take(running)
    die(leased)
    sweeper.rescue(idempotent=lambda _: True)
    _, again = take(running)
    release(token, leased)
    assert len(again) == 3
    assert statuses(running) == {"sending": 3}


@pytest.mark.usefixtures("running")
def test_a_sweep_makes_lost_hints_anew() -> None:
    OrmQ.objects.all().delete()
    tasks.sweep()
    assert hints(ADVANCE) == 1
    assert hints(SEND) == 1
