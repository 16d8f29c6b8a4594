"""Deliveries over a real network: signed, merged, retried, given up."""

import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from unittest.mock import Mock

import pytest
from django.core import mail
from django.db import connection
from django.utils.timezone import now
from pytest_django import Settings
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from accounts.models import User
from accounts.webhooks import dispatcher, services, targets, tasks
from accounts.webhooks.models import MAX_EVENTS, Delivery, EventType, Webhook
from project.core.clock import now as clock_now
from tests.accounts.webhooks.receiver import Receiver, running_receiver
from tests.metric_values import counted

# The dispatcher's threads have their own connections.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    settings.WEBHOOKS_ALLOW_PRIVATE = True
    with running_receiver() as running:
        yield running


@pytest.fixture(autouse=True)
def _one_at_a_time_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip on SQLite in memory, where two connections can't write."""
    if connection.vendor == "sqlite":
        monkeypatch.setattr(dispatcher, "MAX_CONCURRENT", 1)


@pytest.fixture
def hook(alice: User, receiver: Receiver) -> Webhook:
    return services.webhook_create(owner=alice, url=receiver.url)


def event(number: int, kind: str = EventType.MESSAGE_SENT) -> dict[str, Any]:
    return {"type": str(kind), "timestamp": now().isoformat(), "data": {"message": number, "text": "é ☃"}}


def work() -> None:
    dispatcher.work(lambda: False, seconds=5)


def again(hook: Webhook) -> None:
    """End the wait after a failure."""
    Webhook.objects.filter(pk=hook.pk).update(held_until=clock_now())
    Delivery.objects.waiting().update(next_at=clock_now())
    work()


def test_events_arrive_signed(hook: Webhook, receiver: Receiver) -> None:
    hook.add_events([event(1), event(2)])
    work()
    assert [item["data"]["message"] for item in receiver.events(hook.secret)] == [1, 2]
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.attempts, delivery.http_status, delivery.answer) == (
        "delivered",
        1,
        200,
        '{"thanks": true}',
    )
    assert receiver.ids == [delivery.uid]


def test_forged_and_replayed_requests_fail_verification(hook: Webhook, receiver: Receiver) -> None:
    hook.add_events([event(1)])
    work()
    headers, body = receiver.requests[0]
    with pytest.raises(WebhookVerificationError):
        receiver.events(Webhook(owner=hook.owner).secret)
    with pytest.raises(WebhookVerificationError):
        Verifier(hook.secret).verify(body.replace(b"1", b"2", 1), headers)
    old = {**headers, "webhook-timestamp": str(int(time.time()) - 3600)}
    with pytest.raises(WebhookVerificationError):
        Verifier(hook.secret).verify(body, old)


def test_only_subscribed_events_are_sent(hook: Webhook, receiver: Receiver) -> None:
    hook.events = [EventType.MESSAGE_FAILED.value]
    hook.add_events([event(1), event(2, EventType.MESSAGE_FAILED)])
    work()
    assert [item["data"]["message"] for item in receiver.events(hook.secret)] == [2]


def test_waiting_events_are_sent_together_in_order(hook: Webhook, receiver: Receiver) -> None:
    for number in range(50):
        hook.add_events([event(number)])
    hook.add_events([event(number) for number in range(50, 50 + MAX_EVENTS)])
    work()
    assert len(receiver.requests) == 2
    assert [item["data"]["message"] for item in receiver.events(hook.secret)] == list(range(50 + MAX_EVENTS))


def test_failed_delivery_is_retried_with_the_same_id_and_body_after_a_wait(hook: Webhook, receiver: Receiver) -> None:
    receiver.answers = [500, 302, 503]
    hook.add_events([event(1)])
    work()
    assert len(receiver.requests) == 1
    hook.refresh_from_db()
    assert hook.failures == 1
    assert timedelta(seconds=3) < hook.held_until - clock_now() < timedelta(seconds=6)
    hook.add_events([event(2)])
    work()
    assert len(receiver.requests) == 1
    for _ in range(5):
        again(hook)
    assert len(set(receiver.ids)) == 2
    seen = {headers["webhook-id"]: body for headers, body in receiver.requests}
    assert all(seen[headers["webhook-id"]] == body for headers, body in receiver.requests)
    assert sorted({item["data"]["message"] for item in receiver.events(hook.secret)}) == [1, 2]
    hook.refresh_from_db()
    assert hook.failures == 0
    assert set(Delivery.objects.values_list("status", flat=True)) == {"delivered"}
    assert counted("vestnik_webhook_requests", "failed") == 3


def test_webhook_is_disabled_and_its_owner_notified_after_a_day_of_failures(hook: Webhook, receiver: Receiver) -> None:
    receiver.answers = [500, 500]
    hook.add_events([event(1)])
    work()
    Delivery.objects.update(since=clock_now() - timedelta(hours=25))
    again(hook)
    hook.refresh_from_db()
    assert hook.disabled_at is not None
    assert [letter.to for letter in mail.outbox] == [["alice@example.org"]]
    assert f"/account/webhooks/{hook.pk}/" in mail.outbox[0].body
    assert counted("vestnik_mails", "webhook", "sent") == 1
    hook.add_events([event(2)])
    work()
    assert len(receiver.requests) == 2

    services.webhook_enable(webhook=hook, by=hook.owner)
    failed = Delivery.objects.get(status="failed")
    services.delivery_resend(delivery=failed, by=hook.owner)
    work()
    assert {item["data"]["message"] for item in receiver.events(hook.secret)} == {1, 2}
    failed.refresh_from_db()
    assert (failed.status, failed.attempts) == ("delivered", 1)


def test_webhook_is_disabled_even_if_its_owner_cannot_be_notified(
    hook: Webhook, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accounts.webhooks.dispatcher.send_mail", Mock(side_effect=ConnectionRefusedError))
    receiver.answers = [410]
    hook.add_events([event(1)])
    work()
    hook.refresh_from_db()
    assert hook.disabled_at is not None
    assert counted("vestnik_mails", "webhook", "failed") == 1


def test_single_failing_delivery_does_not_disable_the_webhook(hook: Webhook, receiver: Receiver) -> None:
    receiver.answers = [500]
    hook.add_events([event(1)])
    work()
    hook.add_events([event(2)])
    again(hook)
    assert set(Delivery.objects.values_list("status", flat=True)) == {"delivered"}
    bad = Delivery.objects.earliest("pk")
    Delivery.objects.filter(pk=bad.pk).update(status="pending", since=clock_now() - timedelta(hours=25))
    receiver.answers = [400]
    again(hook)
    bad.refresh_from_db()
    hook.refresh_from_db()
    assert (bad.status, hook.disabled_at) == ("failed", None)


def test_status_410_disables_the_webhook_at_once(hook: Webhook, receiver: Receiver) -> None:
    receiver.answers = [410]
    hook.add_events([event(1)])
    work()
    hook.refresh_from_db()
    assert hook.disabled_at is not None


def test_redirects_are_not_followed(hook: Webhook, receiver: Receiver) -> None:
    receiver.answers = [307]
    hook.add_events([event(1)])
    work()
    assert (Delivery.objects.get().reason, len(receiver.requests)) == ("http_307", 1)


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite in memory lets no two connections write")
def test_a_slow_receiver_delays_no_other(alice: User, hook: Webhook, receiver: Receiver) -> None:
    receiver.delay = 1.5
    with running_receiver() as quick:
        other = services.webhook_create(owner=alice, url=quick.url)
        for webhook in (hook, other):
            webhook.add_events([event(1)])
        began = time.monotonic()

        def work_apart() -> None:
            work()
            connection.close()

        thread = threading.Thread(target=work_apart)
        thread.start()
        while not quick.requests and time.monotonic() < began + 5:
            time.sleep(0.01)
        assert time.monotonic() - began < 1
        thread.join()
        assert len(receiver.requests) == len(quick.requests) == 1


def test_slow_answer_is_cut_off(alice: User, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.WEBHOOKS_ALLOW_PRIVATE = True
    monkeypatch.setattr(targets, "TOTAL_SECONDS", 0.5)
    monkeypatch.setattr(targets, "CONNECT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 1000:
                    try:
                        connection.sendall(bytes([byte]))
                    except OSError:
                        return
                    time.sleep(0.05)

        thread = threading.Thread(target=drip)
        thread.start()
        answer = targets.post(f"http://127.0.0.1:{server.getsockname()[1]}/", b"{}", {})
        thread.join()
    assert (answer.accepted, answer.reason) == (False, "timeout")
    assert answer.duration_ms < 2000


def test_refused_connection_is_a_failure(hook: Webhook, receiver: Receiver) -> None:
    receiver.shutdown()
    receiver.server_close()
    hook.add_events([event(1)])
    work()
    assert Delivery.objects.get().reason == "connection"


def test_webhook_is_served_by_one_dispatcher_at_a_time(hook: Webhook, receiver: Receiver) -> None:
    hook.add_events([event(1)])
    assert hook.claim()
    assert not hook.claim()
    work()
    assert receiver.requests == []
    hook.release()
    work()
    assert len(receiver.requests) == 1


def test_task_delivers_and_enqueues_the_next(hook: Webhook, receiver: Receiver) -> None:
    receiver.answers = [500]
    hook.add_events([event(1)])
    tasks.deliver()
    assert len(receiver.requests) == 1
    due = tasks.next_due()
    assert due is not None
    assert due > clock_now()


def test_error_of_one_webhook_does_not_stop_others(alice: User, hook: Webhook, receiver: Receiver) -> None:
    with running_receiver() as sound:
        other = services.webhook_create(owner=alice, url=sound.url)
        for webhook in (hook, other):
            webhook.add_events([event(1)])
        Webhook.objects.filter(pk=hook.pk).update(secret="x")
        work()
        assert (len(receiver.requests), len(sound.requests)) == (0, 1)
    hook.refresh_from_db()
    assert hook.held_until > clock_now()
