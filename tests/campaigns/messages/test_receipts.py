"""Receipts, from the API to the messages: repeated, out of order, early, unknown, many at once."""

import json
from collections import Counter
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
import time_machine
from django.conf import LazySettings
from django.test import Client

from accounts.models import User
from accounts.webhooks.models import Delivery, EventType, Webhook
from campaigns.gateways import registry
from campaigns.messages import receipts
from campaigns.metrics import GATEWAY_MESSAGES
from campaigns.models import Gateway, Message, Run, WaitingReceipt
from campaigns.states import MessageStatus
from project.core.clock import now
from project.observability.metrics import meters
from project.observability.metrics.models import Measure
from tests.campaigns.engine import assert_counters_match, hints
from tests.campaigns.outcomes import settle, started

pytestmark = pytest.mark.django_db

APPLY = "campaigns.tasks.apply_receipts"


@pytest.fixture
def run(alice: User) -> Run:
    return started(alice, contacts=4)[1]


def post(body: Any, *, name: str = "probe", key: str | None = None) -> Any:
    """Post a receipt; return the response."""
    address = registry.callback_address(name).removeprefix("http://localhost:8000")
    if key is not None:
        address = f"{address.partition('?')[0]}?key={key}"
    sent = body if isinstance(body, str) else json.dumps(body)
    return Client().post(address, sent, content_type="application/json")


def apply_all() -> None:
    """Apply receipts, as the worker does."""
    with time_machine.travel(now() + timedelta(seconds=1), tick=False):
        receipts.apply_receipts()


def send_receipt(message: Message, status: str, **more: str) -> None:
    assert post({"id": message.pk, "status": status, **more}).json() == {"receipts": 1, "incoming": 0}
    apply_all()
    message.refresh_from_db()


def minute_of(run: Run) -> Counter[str]:
    found: Counter[str] = Counter()
    for row in run.minutes.all():
        found.update(delivered=row.delivered, undelivered=row.undelivered)
    return found


def test_receipts_set_delivered_and_undelivered(run: Run) -> None:
    arrived, lost, *_ = settle(run, 3, MessageStatus.SENT)
    send_receipt(arrived, "delivered")
    send_receipt(lost, "undelivered", reason="absent_subscriber")
    assert (arrived.status, arrived.reason) == ("delivered", "")
    assert (lost.status, lost.reason) == ("undelivered", "absent_subscriber")
    run.refresh_from_db()
    assert (run.sent, run.delivered, run.undelivered, run.pending) == (1, 1, 1, 1)
    assert minute_of(run) == {"delivered": 1, "undelivered": 1}
    assert_counters_match(run.campaign)
    meters.flush()
    measured = Measure.objects.filter(series__contains=GATEWAY_MESSAGES.name).values_list("series", "value")
    assert {tuple(json.loads(series)[1:3]): value for series, value in measured} == {
        ("probe", "delivered"): 1,
        ("probe", "undelivered"): 1,
    }


def test_the_first_receipt_counts_and_repeats_change_nothing(run: Run) -> None:
    (message,) = settle(run, 1, MessageStatus.SENT)
    body = [{"id": message.pk, "status": status} for status in ("delivered", "undelivered", "delivered")]
    assert post(body).json() == {"receipts": 3, "incoming": 0}
    apply_all()
    send_receipt(message, "undelivered")
    assert message.status == "delivered"
    assert_counters_match(run.campaign)
    assert not WaitingReceipt.objects.exists()


@pytest.mark.parametrize("order", sorted(set(permutations(["delivered", "delivered", "undelivered"]))))
@pytest.mark.parametrize("together", [True, False])
def test_one_undelivered_part_counts_in_any_order(run: Run, order: tuple[str, ...], together: bool) -> None:
    (message,) = settle(run, 1, MessageStatus.SENT)
    Message.objects.filter(pk=message.pk).update(parts=3)
    for statuses in [order] if together else [[status] for status in order]:
        post([{"id": message.pk, "status": status} for status in statuses])
        apply_all()
    message.refresh_from_db()
    assert message.status == "undelivered"
    assert minute_of(run) == {"undelivered": 1, "delivered": 0}
    assert_counters_match(run.campaign)


def test_a_receipt_counts_only_for_messages_of_its_gateway(run: Run) -> None:
    Gateway.objects.create(name="other", kind="probe", url="http://127.0.0.1:1")
    of_settings, of_other = settle(run, 2, MessageStatus.SENT)
    Message.objects.filter(pk=of_other.pk).update(gateway="other")
    post([{"id": message.pk, "status": "undelivered"} for message in (of_settings, of_other)], name="other")
    apply_all()
    assert set(run.messages.values_list("pk", "status").exclude(status="pending")) == {
        (of_settings.pk, "sent"),
        (of_other.pk, "undelivered"),
    }
    assert not WaitingReceipt.objects.exists()
    send_receipt(of_settings, "delivered")
    assert of_settings.status == "delivered"
    assert_counters_match(run.campaign)


def test_an_early_receipt_waits_until_the_message_is_recorded_as_sent(run: Run) -> None:
    message = run.messages.earliest("pk")
    send_receipt(message, "delivered")
    assert (message.status, WaitingReceipt.objects.count(), hints(APPLY)) == ("pending", 1, 1)
    settle(run, 1, MessageStatus.SENT)
    with time_machine.travel(now() + timedelta(minutes=1)):
        apply_all()
    message.refresh_from_db()
    assert (message.status, WaitingReceipt.objects.count()) == ("delivered", 0)
    assert_counters_match(run.campaign)


def test_a_receipt_does_not_wait_forever(run: Run) -> None:
    send_receipt(run.messages.earliest("pk"), "delivered")
    with time_machine.travel(now() + timedelta(days=4)):
        apply_all()
    assert not WaitingReceipt.objects.exists()


def test_a_receipt_resolves_an_unknown_message(run: Run) -> None:
    (message,) = settle(run, 1, MessageStatus.UNKNOWN)
    send_receipt(message, "delivered")
    run.refresh_from_db()
    assert (message.status, run.unknown, run.delivered, run.parts) == ("delivered", 0, 1, 1)
    assert_counters_match(run.campaign)


@pytest.mark.parametrize("status", [MessageStatus.FAILED, MessageStatus.CANCELLED, MessageStatus.EXPIRED])
def test_a_receipt_does_not_change_other_final_states(run: Run, status: MessageStatus) -> None:
    (message,) = settle(run, 1, status)
    send_receipt(message, "delivered")
    assert (message.status, WaitingReceipt.objects.count()) == (status, 0)


def test_unknown_ids_and_intermediate_receipts_are_ignored(run: Run) -> None:
    assert post([{"id": 2**62, "status": "delivered"}, {"id": 7, "status": "buffered"}]).json() == {
        "receipts": 1,
        "incoming": 0,
    }
    apply_all()
    assert not WaitingReceipt.objects.exists()


@pytest.mark.parametrize("body", ["", "<xml/>", "[", "{}", "[1]", '{"id": 0, "status": "delivered"}'])
def test_malformed_receipts_are_refused(body: str) -> None:
    answer = post(body)
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body"])


def test_a_receipt_needs_the_key_of_its_gateway(settings: LazySettings) -> None:
    body = {"id": 1, "status": "delivered"}
    of_another = registry.callback_address("other").partition("key=")[2]
    assert {post(body, key=key).status_code for key in ("", "x", "é", of_another)} == {401}
    assert post(body, name="other").status_code == 404
    old = registry.callback_address("probe").partition("key=")[2]
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another" * 9, [settings.SECRET_KEY]
    assert post(body, key=old).status_code == 200, "a gateway goes on with the address that it knows"


def test_receipts_cause_webhook_events(run: Run, alice: User) -> None:
    Webhook.objects.create(owner=alice, url="https://8.8.8.8/", events=EventType.values)
    (message,) = settle(run, 1, MessageStatus.SENT)
    send_receipt(message, "delivered")
    assert [event["type"] for event in Delivery.objects.get().events] == ["message.delivered"]


def test_kannel_sends_receipts_by_get(run: Run, settings: LazySettings) -> None:
    settings.GATEWAY = "kannel"
    (message,) = settle(run, 1, MessageStatus.SENT)
    address = registry.callback_address("kannel").removeprefix("http://localhost:8000")
    for status, waiting in (("8", 0), ("16", 1), ("1", 2)):
        answer = Client().get(f"{address}&status={status}&message={message.pk}")
        assert (answer.status_code, answer.content) == (200, b"")
        assert WaitingReceipt.objects.count() == waiting
    apply_all()
    message.refresh_from_db()
    assert (message.status, message.reason) == ("undelivered", "refused_by_centre")
