"""Receipts, over the API and into the messages: repeated, out of order, early, unknown, many at once."""

import json
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.conf import LazySettings
from django.test import Client

from accounts.models import User
from accounts.webhooks.models import Delivery, EventType, Webhook
from campaigns import connections, receipts
from campaigns.meters import GATEWAY_MESSAGES
from campaigns.models import Message, Run, WaitingReceipt
from campaigns.states import MessageStatus
from measures import meters
from measures.models import Measure
from project.clock import now
from tests.campaigns.engine import assert_counters_true, hints
from tests.campaigns.outcomes import settle, started

pytestmark = pytest.mark.django_db

APPLY = "campaigns.tasks.apply_receipts"


@pytest.fixture
def run(alice: User) -> Run:
    return started(alice, contacts=4)[1]


def post(body: Any, *, name: str = "probe", key: str | None = None) -> Any:
    """What the gateway is answered."""
    address = connections.callback_address(name).removeprefix("http://localhost:8000")
    if key is not None:
        address = f"{address.partition('?')[0]}?key={key}"
    sent = body if isinstance(body, str) else json.dumps(body)
    return Client().post(address, sent, content_type="application/json")


def apply_all() -> None:
    """As the worker does when the hint is due."""
    with time_machine.travel(now() + timedelta(seconds=1), tick=False):
        receipts.receipts_apply()


def tell(message: Message, status: str, **more: str) -> None:
    assert post({"id": message.pk, "status": status, **more}).json() == {"receipts": 1}
    apply_all()
    message.refresh_from_db()


def minute_of(run: Run) -> Counter[str]:
    found: Counter[str] = Counter()
    for row in run.minutes.all():
        found.update(delivered=row.delivered, undelivered=row.undelivered)
    return found


def test_they_turn_what_was_sent_to_delivered_and_undelivered(run: Run) -> None:
    arrived, lost, *_ = settle(run, 3, MessageStatus.SENT)
    tell(arrived, "delivered")
    tell(lost, "undelivered", reason="absent_subscriber")
    assert (arrived.status, arrived.reason) == ("delivered", "")
    assert (lost.status, lost.reason) == ("undelivered", "absent_subscriber")
    run.refresh_from_db()
    assert (run.sent, run.delivered, run.undelivered, run.pending) == (1, 1, 1, 1)
    assert minute_of(run) == {"delivered": 1, "undelivered": 1}
    assert_counters_true(run.campaign)
    meters.flush()
    measured = Measure.objects.filter(series__contains=GATEWAY_MESSAGES.name).values_list("series", "value")
    assert {tuple(json.loads(series)[1:3]): value for series, value in measured} == {
        ("probe", "delivered"): 1,
        ("probe", "undelivered"): 1,
    }


def test_the_first_one_counts_and_repeats_change_nothing(run: Run) -> None:
    (message,) = settle(run, 1, MessageStatus.SENT)
    body = [{"id": message.pk, "status": status} for status in ("delivered", "undelivered", "delivered")]
    assert post(body).json() == {"receipts": 3}
    apply_all()
    tell(message, "undelivered")
    assert message.status == "delivered"
    assert_counters_true(run.campaign)
    assert not WaitingReceipt.objects.exists()


def test_an_early_one_waits_until_it_is_written_that_the_message_was_sent(run: Run) -> None:
    message = run.messages.earliest("pk")
    tell(message, "delivered")
    assert (message.status, WaitingReceipt.objects.count(), hints(APPLY)) == ("pending", 1, 1)
    settle(run, 1, MessageStatus.SENT)
    with time_machine.travel(now() + timedelta(minutes=1)):
        apply_all()
    message.refresh_from_db()
    assert (message.status, WaitingReceipt.objects.count()) == ("delivered", 0)
    assert_counters_true(run.campaign)


def test_it_does_not_wait_for_ever(run: Run) -> None:
    tell(run.messages.earliest("pk"), "delivered")
    with time_machine.travel(now() + timedelta(days=4)):
        apply_all()
    assert not WaitingReceipt.objects.exists()


def test_it_settles_what_we_had_to_give_up_as_unknown(run: Run) -> None:
    (message,) = settle(run, 1, MessageStatus.UNKNOWN)
    tell(message, "delivered")
    run.refresh_from_db()
    assert (message.status, run.unknown, run.delivered, run.parts) == ("delivered", 0, 1, 1)
    assert_counters_true(run.campaign)


@pytest.mark.parametrize("status", [MessageStatus.FAILED, MessageStatus.CANCELLED, MessageStatus.EXPIRED])
def test_what_ended_otherwise_stays_so(run: Run, status: MessageStatus) -> None:
    (message,) = settle(run, 1, status)
    tell(message, "delivered")
    assert (message.status, WaitingReceipt.objects.count()) == (status, 0)


def test_unknown_ids_and_what_is_under_way_are_taken_without_fuss(run: Run) -> None:
    assert post([{"id": 2**62, "status": "delivered"}, {"id": 7, "status": "buffered"}]).json() == {"receipts": 1}
    apply_all()
    assert not WaitingReceipt.objects.exists()


@pytest.mark.parametrize("body", ["", "<xml/>", "[", "{}", "[1]", '{"id": 0, "status": "delivered"}'])
def test_nonsense_is_refused(body: str) -> None:
    answer = post(body)
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body"])


def test_a_key_is_asked_for_which_is_the_gateways_own(settings: LazySettings) -> None:
    body = {"id": 1, "status": "delivered"}
    of_another = connections.callback_address("other").partition("key=")[2]
    assert {post(body, key=key).status_code for key in ("", "x", "é", of_another)} == {401}
    assert post(body, name="other").status_code == 404
    old = connections.callback_address("probe").partition("key=")[2]
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another" * 9, [settings.SECRET_KEY]
    assert post(body, key=old).status_code == 200, "a gateway goes on with the address that it knows"


def test_webhooks_are_told(run: Run, alice: User) -> None:
    Webhook.objects.create(owner=alice, url="https://8.8.8.8/", events=EventType.values)
    (message,) = settle(run, 1, MessageStatus.SENT)
    tell(message, "delivered")
    assert [event["type"] for event in Delivery.objects.get().events] == ["message.delivered"]


def test_kannel_tells_by_get(run: Run, settings: LazySettings) -> None:
    settings.GATEWAY = "kannel"
    (message,) = settle(run, 1, MessageStatus.SENT)
    address = connections.callback_address("kannel").removeprefix("http://localhost:8000")
    for status, taken in (("8", 0), ("16", 1), ("1", 1)):
        answer = Client().get(f"{address}&status={status}&message={message.pk}")
        assert (answer.status_code, answer.json()) == (200, {"receipts": taken})
    apply_all()
    message.refresh_from_db()
    assert (message.status, message.reason) == ("undelivered", "refused_by_centre")
