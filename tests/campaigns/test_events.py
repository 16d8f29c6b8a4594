"""What webhooks are told of campaigns and messages, wherever a message comes to its state."""

from typing import Any

import pytest
from django_q.models import OrmQ
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks

from accounts.models import User
from accounts.webhooks.models import EventType, Webhook
from campaigns import events, services
from campaigns.lifecycle import campaign_advance
from campaigns.models import Message
from campaigns.sandbox.server import Sandbox
from campaigns.states import MessageStatus, Remedy
from tests import factories
from tests.campaigns.engine import send_everything
from tests.campaigns.outcomes import settle, started

pytestmark = pytest.mark.django_db


@pytest.fixture
def hook(alice: User) -> Webhook:
    return Webhook.objects.create(owner=alice, url="https://example.org/", events=EventType.values)


def told(hook: Webhook) -> list[tuple[str, Any]]:
    """Type, and message or campaign, of everything that is to be delivered."""
    rows = hook.deliveries.order_by("pk").values_list("events", flat=True)
    return [(event["type"], event["data"].get("message", event["data"]["campaign"])) for row in rows for event in row]


def test_a_message_is_told_with_what_an_integrator_needs(hook: Webhook, alice: User) -> None:
    campaign, run = started(alice, contacts=1)
    message = settle(run, 1, MessageStatus.FAILED, "http_400")[0]
    message.refresh_from_db()
    events.messages_changed([run.pk], [message.pk])
    event = hook.deliveries.latest("pk").events[0]
    assert (event["type"], event["timestamp"]) == ("message.failed", message.changed_at.isoformat())
    assert event["data"] == {
        "message": message.pk,
        "campaign": campaign.pk,
        "contact": message.contact_id,
        "phone": str(message.recipient),
        "status": "failed",
        "reason": "http_400",
        "attempts": message.attempts,
        "parts": message.parts,
    }


def test_of_all_that_a_campaign_sends_each_end_is_told_once(hook: Webhook, alice: User, sandbox: Sandbox) -> None:
    sandbox.faults = sandbox.faults.updated({"refuse": 0.3})
    for _ in range(30):
        factories.contact(alice)
    campaign = factories.campaign(alice)
    send_everything(campaign, sandbox)
    ends = [(f"message.{status}", pk) for pk, status in Message.objects.values_list("pk", "status")]
    assert {kind for kind, _ in ends} == {"message.sent", "message.failed"}
    assert sorted(ends) == sorted(event for event in told(hook) if event[0].startswith("message"))


def test_what_waits_again_is_not_told(hook: Webhook, alice: User) -> None:
    _campaign, run = started(alice, contacts=1)
    before = len(told(hook))
    events.messages_changed([run.pk], list(run.messages.values_list("pk", flat=True)))
    assert len(told(hook)) == before


def test_others_are_told_nothing(hook: Webhook, bob: User) -> None:
    _campaign, run = started(bob, contacts=1)
    events.messages_changed([run.pk], [settle(run, 1, MessageStatus.SENT, "")[0].pk])
    assert told(hook) == []


def test_a_disabled_webhook_is_told_nothing(hook: Webhook, alice: User) -> None:
    Webhook.objects.update(disabled_at=hook.created_at)
    campaign, _run = started(alice, contacts=1)
    services.campaign_cancel(campaign=campaign, by=alice)
    campaign_advance(campaign.pk)
    assert told(hook) == []


def test_where_nobody_listens_it_costs_one_query_for_a_batch(
    alice: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    _campaign, run = started(alice, contacts=20)
    ids = list(run.messages.values_list("pk", flat=True))
    with django_assert_num_queries(1):
        events.messages_changed([run.pk], ids)


def test_what_is_cancelled_is_told(hook: Webhook, alice: User) -> None:
    campaign, run = started(alice, contacts=2)
    services.campaign_cancel(campaign=campaign, by=alice)
    campaign_advance(campaign.pk)
    ids = list(run.messages.order_by("pk").values_list("pk", flat=True))
    assert [event for event in told(hook) if event[0].startswith("message")] == [
        ("message.cancelled", pk) for pk in ids
    ]


def test_what_people_take_for_sent_is_told(hook: Webhook, alice: User) -> None:
    _campaign, run = started(alice, contacts=1)
    message = settle(run, 1, MessageStatus.UNKNOWN, "worker_died")[0]
    services.message_remedy(message=message, by=alice, remedy=Remedy.SENT)
    assert told(hook)[-1] == ("message.sent", message.pk)


def test_a_campaign_tells_that_it_starts_and_finishes(hook: Webhook, alice: User) -> None:
    campaign = factories.campaign(alice)
    campaign_advance(campaign.pk)
    campaign_advance(campaign.pk)
    assert told(hook) == [("campaign.started", campaign.pk), ("campaign.finished", campaign.pk)]
    finished = hook.deliveries.latest("pk").events[0]["data"]
    assert (finished["name"], finished["total"]) == (campaign.name, 0)
    assert set(finished["by_status"]) == set(MessageStatus.values)


def test_a_hint_wakes_the_courier_and_is_locked_by_nobody_who_still_counts(
    hook: Webhook, alice: User, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    """Two who lease from several runs would else wait for each other's runs and the one hint."""
    hints = OrmQ.objects.filter(key__contains="accounts.webhooks.tasks.deliver")
    hints.delete()
    with django_capture_on_commit_callbacks(execute=True):
        started(alice, contacts=1)
        assert hook.deliveries.exists()
        assert not hints.exists()
    assert hints.count() == 1
