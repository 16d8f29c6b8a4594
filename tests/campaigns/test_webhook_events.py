"""Webhook events about campaigns and messages, from all places that change a status."""

from typing import Any

import pytest
from django_q.models import OrmQ
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks

from accounts.models import User
from accounts.webhooks.models import EventType, Webhook
from campaigns import services, webhook_events
from campaigns.models import Message
from campaigns.planning.lifecycle import campaign_advance
from campaigns.sandbox.server import Sandbox
from campaigns.states import MessageStatus, Resolution
from tests import factories
from tests.campaigns.engine import send_everything
from tests.campaigns.outcomes import settle, started

pytestmark = pytest.mark.django_db


@pytest.fixture
def hook(alice: User) -> Webhook:
    return Webhook.objects.create(owner=alice, url="https://example.org/", events=EventType.values)


def events_of(hook: Webhook) -> list[tuple[str, Any]]:
    """Type, and message or campaign, of all pending events."""
    rows = hook.deliveries.order_by("pk").values_list("events", flat=True)
    return [(event["type"], event["data"].get("message", event["data"]["campaign"])) for row in rows for event in row]


def test_an_event_has_the_data_that_an_integrator_needs(hook: Webhook, alice: User) -> None:
    campaign, run = started(alice, contacts=1)
    message = settle(run, 1, MessageStatus.FAILED, "http_400")[0]
    message.refresh_from_db()
    webhook_events.messages_changed([run.pk], [message.pk])
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


def test_each_outcome_of_a_campaign_is_sent_once(hook: Webhook, alice: User, sandbox: Sandbox) -> None:
    sandbox.faults = sandbox.faults.updated({"refuse": 0.3})
    for _ in range(30):
        factories.contact(alice)
    campaign = factories.campaign(alice)
    send_everything(campaign, sandbox)
    ends = [(f"message.{status}", pk) for pk, status in Message.objects.values_list("pk", "status")]
    assert {kind for kind, _ in ends} == {"message.sent", "message.failed"}
    assert sorted(ends) == sorted(event for event in events_of(hook) if event[0].startswith("message"))


def test_a_retry_sends_no_event(hook: Webhook, alice: User) -> None:
    _campaign, run = started(alice, contacts=1)
    before = len(events_of(hook))
    webhook_events.messages_changed([run.pk], list(run.messages.values_list("pk", flat=True)))
    assert len(events_of(hook)) == before


def test_other_users_get_no_events(hook: Webhook, bob: User) -> None:
    _campaign, run = started(bob, contacts=1)
    webhook_events.messages_changed([run.pk], [settle(run, 1, MessageStatus.SENT, "")[0].pk])
    assert events_of(hook) == []


def test_a_disabled_webhook_gets_no_events(hook: Webhook, alice: User) -> None:
    Webhook.objects.update(disabled_at=hook.created_at)
    campaign, _run = started(alice, contacts=1)
    services.campaign_cancel(campaign=campaign, by=alice)
    campaign_advance(campaign.pk)
    assert events_of(hook) == []


def test_without_webhooks_a_batch_costs_one_query(
    alice: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    _campaign, run = started(alice, contacts=20)
    ids = list(run.messages.values_list("pk", flat=True))
    with django_assert_num_queries(1):
        webhook_events.messages_changed([run.pk], ids)


def test_cancelled_messages_send_events(hook: Webhook, alice: User) -> None:
    campaign, run = started(alice, contacts=2)
    services.campaign_cancel(campaign=campaign, by=alice)
    campaign_advance(campaign.pk)
    ids = list(run.messages.order_by("pk").values_list("pk", flat=True))
    assert [event for event in events_of(hook) if event[0].startswith("message")] == [
        ("message.cancelled", pk) for pk in ids
    ]


def test_messages_marked_as_sent_send_events(hook: Webhook, alice: User) -> None:
    _campaign, run = started(alice, contacts=1)
    message = settle(run, 1, MessageStatus.UNKNOWN, "worker_died")[0]
    services.message_resolve(message=message, by=alice, resolution=Resolution.SENT)
    assert events_of(hook)[-1] == ("message.sent", message.pk)


def test_start_and_finish_of_a_campaign_send_events(hook: Webhook, alice: User) -> None:
    campaign = factories.campaign(alice)
    campaign_advance(campaign.pk)
    campaign_advance(campaign.pk)
    assert events_of(hook) == [("campaign.started", campaign.pk), ("campaign.finished", campaign.pk)]
    finished = hook.deliveries.latest("pk").events[0]["data"]
    assert (finished["name"], finished["total"]) == (campaign.name, 0)
    assert set(finished["by_status"]) == set(MessageStatus.values)


def test_the_dispatchers_hint_is_left_after_the_commit(
    hook: Webhook, alice: User, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    """Otherwise two transactions that lease from several runs could deadlock on runs and hint."""
    hints = OrmQ.objects.filter(key__contains="accounts.webhooks.tasks.deliver")
    hints.delete()
    with django_capture_on_commit_callbacks(execute=True):
        started(alice, contacts=1)
        assert hook.deliveries.exists()
        assert not hints.exists()
    assert hints.count() == 1
