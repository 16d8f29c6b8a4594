"""The providers' ids of messages: recorded with the outcome, and receipts by them in any order."""

import re
import uuid
from datetime import timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from accounts.models import User
from campaigns.gateways import registry
from campaigns.gateways.protocol import Answer, Outcome, Receipt, Verdict
from campaigns.messages import receipts
from campaigns.messages.provider_ids import messages_with
from campaigns.messages.receipts import receipts_store
from campaigns.models import Campaign, Gateway, Message, ProviderId, Run, WaitingReceipt
from campaigns.privacy.data_export import export_messages
from campaigns.privacy.retention import forget
from campaigns.sending.decisions import Leased
from campaigns.sending.outcomes import Completed, record
from campaigns.states import MessageStatus
from directory.contacts.erasure import contact_erase
from project.core.clock import now
from tests.campaigns.browser_client import browser, page_of
from tests.campaigns.engine import assert_counters_match
from tests.campaigns.gateways.providers import example_text
from tests.campaigns.outcomes import settle, started
from tests.conftest import ApiClient

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(alice: User) -> Run:
    return started(alice, contacts=4)[1]


def accept(run: Run, *ids: tuple[str, ...], parts: int = 1, gateway: str = "probe") -> list[Message]:
    """Record that the gateway has accepted a message for each tuple, with these ids."""
    token = uuid.uuid4()
    messages = settle(run, len(ids), MessageStatus.SENDING)
    Message.objects.filter(pk__in=[message.pk for message in messages]).update(
        lease_token=token, parts=parts, gateway=gateway
    )
    record_sent(token, messages, ids, gateway=gateway)
    return messages


def record_sent(token: uuid.UUID, messages: list[Message], ids: tuple[tuple[str, ...], ...], *, gateway: str) -> None:
    batch = [
        Completed(
            Leased(
                id=message.pk,
                run_id=message.run_id,
                campaign_id=message.run.campaign_id,
                contact_id=message.contact_id,
                phone=79990001122,
                text="As sent",
                parts=1,
                attempts=1,
                send_before=0,
                leased_at=0,
            ),
            Answer(200),
            Outcome(Verdict.SENT, ids=each),
        )
        for message, each in zip(messages, ids, strict=True)
    ]
    record(token, batch, gateway=gateway, idempotent=False)


def report(*rows: Receipt, gateway: str = "probe", together: bool = True) -> None:
    """Store receipts and apply what is due, as the worker does."""
    for each in [rows] if together else [(row,) for row in rows]:
        receipts_store(gateway, each)
        apply_due()


def apply_due(after: timedelta = timedelta(seconds=1)) -> None:
    with time_machine.travel(now() + after, tick=False):
        receipts.apply_receipts()


def by_id(provider_id: str, delivered: bool, reason: str = "", **more: Any) -> Receipt:
    return Receipt(None, delivered, reason, provider_id=provider_id, **more)


def state(message: Message) -> tuple[str, str]:
    message.refresh_from_db()
    return message.status, message.reason


def test_ids_are_stored_with_the_outcome_and_found(run: Run) -> None:
    one, several = accept(run, ("a-1",), ("b-1", "b-2"))
    assert list(one.provider_ids.values_list("gateway", "provider_id", "delivered")) == [("probe", "a-1", None)]
    assert messages_with("b-2") == [several.pk]
    assert messages_with("c") == messages_with("\0") == messages_with("x" * 500) == []


def test_a_batch_stores_all_ids_in_one_statement_and_none_without_ids(run: Run) -> None:
    def statements(*ids: tuple[str, ...]) -> int:
        with CaptureQueriesContext(connection) as queries:
            accept(run, *ids)
        assert sum("campaigns_providerid" in query["sql"] for query in queries) == bool(any(ids))
        return len(queries)

    assert statements((), ()) + 1 == statements(("a", "b"), ("c",))


def test_an_id_that_is_given_twice_stays_with_its_first_message(run: Run) -> None:
    (first,) = accept(run, ("same",))
    with capture_logs() as logged:
        second, third = accept(run, ("same", "own"), ("third", "third", "x" * 500, "\0", "\ud800", ""))
    assert [(row.provider_id, row.message_id) for row in ProviderId.objects.order_by("provider_id")] == [
        ("own", second.pk),
        ("same", first.pk),
        ("third", third.pk),
    ]
    assert [(entry["log_level"], entry["gateway"], entry["messages"]) for entry in logged] == [
        ("warning", "probe", [second.pk, third.pk])
    ]
    assert {message.status for message in run.messages.exclude(status="pending")} == {"sent"}
    assert_counters_match(run.campaign)


def test_ids_of_messages_that_another_worker_has_are_not_stored(run: Run) -> None:
    messages = settle(run, 1, MessageStatus.SENDING)
    Message.objects.update(lease_token=uuid.uuid4())
    record_sent(uuid.uuid4(), messages, (("late",),), gateway="probe")
    assert not ProviderId.objects.exists()


def test_the_same_id_of_two_gateways_is_two_ids(run: Run) -> None:
    Gateway.objects.create(name="other", kind="probe", url="http://127.0.0.1:1")
    (of_probe,), (of_other,) = accept(run, ("7",)), accept(run, ("7",), gateway="other")
    assert sorted(messages_with("7")) == [of_probe.pk, of_other.pk]
    report(by_id("7", delivered=True), gateway="other")
    assert (state(of_probe)[0], state(of_other)[0]) == ("sent", "delivered")


def test_a_receipt_settles_a_message_by_its_only_id(run: Run) -> None:
    arrived, lost = accept(run, ("a",), ("b",))
    report(by_id("a", delivered=True), by_id("b", delivered=False, reason="absent"), by_id("a", delivered=False))
    assert (state(arrived), state(lost)) == (("delivered", ""), ("undelivered", "absent"))
    assert not WaitingReceipt.objects.exists()
    assert_counters_match(run.campaign)


def test_a_receipt_waits_until_the_id_is_recorded(run: Run) -> None:
    report(by_id("soon", delivered=True), by_id("never", delivered=True))
    assert WaitingReceipt.objects.count() == 2
    (message,) = accept(run, ("soon",))
    apply_due(timedelta(minutes=1))
    assert state(message)[0] == "delivered"
    assert [row.provider_id for row in WaitingReceipt.objects.all()] == ["never"]
    apply_due(timedelta(days=4))
    assert not WaitingReceipt.objects.exists()


def test_a_receipt_by_id_counts_only_for_the_gateway_that_got_the_message_last(run: Run) -> None:
    (message,) = accept(run, ("a",))
    Gateway.objects.create(name="other", kind="probe", url="http://127.0.0.1:1")
    Message.objects.filter(pk=message.pk).update(gateway="other")
    report(by_id("a", delivered=True))
    assert state(message)[0] == "sent"
    assert not WaitingReceipt.objects.exists()


def test_a_described_provider_settles_a_message_by_its_own_id(run: Run) -> None:
    Gateway.objects.create(name="p", kind="http", definition=example_text())
    outcome = registry.driver("p").parse(Answer(200, b'{"message": {"id": "SM1"}}'))
    (message,) = accept(run, outcome.ids, gateway="p")
    address = registry.callback_address("p").removeprefix("http://localhost:8000")
    body = {"message": {"id": "SM1", "status": "delivered"}}
    assert Client().post(address, body, content_type="application/json").json() == {"receipts": 1, "incoming": 0}
    apply_due()
    assert state(message)[0] == "delivered"


def test_our_id_settles_an_unknown_message_whose_provider_id_is_not_known(run: Run) -> None:
    (message,) = settle(run, 1, MessageStatus.UNKNOWN)
    report(Receipt(message.pk, delivered=True, provider_id="never-seen"))
    assert state(message)[0] == "delivered"
    assert_counters_match(run.campaign)


def test_our_id_wins_over_the_providers(run: Run) -> None:
    ours, other = accept(run, ("a",), ("b-1", "b-2"))
    report(Receipt(ours.pk, delivered=False, reason="absent", provider_id="b-1"))
    assert (state(ours), state(other)[0]) == (("undelivered", "absent"), "sent")
    assert not ProviderId.objects.exclude(delivered=None).exists()


def test_with_both_ids_each_receipt_marks_its_part(run: Run) -> None:
    (message,) = accept(run, ("a", "b"), parts=2)
    report(Receipt(message.pk, delivered=True, provider_id="a"))
    assert state(message)[0] == "sent"
    report(Receipt(message.pk, delivered=True, provider_id="b"))
    assert state(message)[0] == "delivered"


def test_the_message_and_its_page_have_the_ids_and_are_found_by_them(run: Run, alice: User, bob: User) -> None:
    message, other = accept(run, ("SM-1", "SM-2"), ("SM-3",))
    assert ApiClient(alice).get(f"/messages/{message.pk}").json()["provider_ids"] == ["SM-1", "SM-2"]
    campaign_page = page_of(run.campaign)
    message_page = f"{campaign_page}messages/{message.pk}/"
    assert re.findall(r"SM-\d", browser(alice).get(message_page).content.decode()) == ["SM-1", "SM-2"]
    listed = browser(alice).get(campaign_page, {"q": " SM-2 "}).content.decode()
    assert (f"message-{message.pk}" in listed, f"message-{other.pk}" in listed) == (True, False)
    for query in ("SM-2", str(message.pk)):
        assert message_page in browser(alice).get("/find/", {"q": query}).content.decode()
        assert message_page not in browser(bob).get("/find/", {"q": query}).content.decode()


def test_erasure_and_retention_remove_the_ids(run: Run, alice: User) -> None:
    one, other = accept(run, ("a",), ("b",))
    assert one.contact
    assert export_messages(one.contact)["messages"][0]["provider_ids"] == ["a"]
    contact_erase(contact=one.contact, by=alice)
    assert messages_with("a") == []
    assert messages_with("b") == [other.pk]
    settle(run, 2, MessageStatus.CANCELLED)
    Campaign.objects.update(status="cancelled")
    Run.objects.update(finished_at=now() - timedelta(days=40))
    assert forget(now() - timedelta(days=30)) == 4
    assert not ProviderId.objects.exists()


def test_ids_that_are_recorded_while_receipts_are_applied_count(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    message, lock = run.messages.earliest("pk"), receipts._lock

    def record_first(*reports: Any) -> Any:
        if not ProviderId.objects.exists():
            accept(run, ("a", "b"), parts=2)
        return lock(*reports)

    monkeypatch.setattr(receipts, "_lock", record_first)
    report(Receipt(message.pk, delivered=True, provider_id="a"))
    assert state(message)[0] == "sent"
    report(Receipt(message.pk, delivered=True, provider_id="b"))
    assert state(message)[0] == "delivered"


def test_a_price_of_one_part_is_not_that_of_the_message(run: Run) -> None:
    (message,) = accept(run, ("a", "b"), parts=2)
    report(by_id("a", delivered=True, price=Decimal(1)), by_id("b", delivered=True, price=Decimal(1)))
    message.refresh_from_db()
    assert (message.status, message.cost) == ("delivered", None)


@pytest.mark.parametrize("provider_id", ["", "x" * 101, "a\0b", "\ud800"])
def test_receipts_by_impossible_ids_are_not_stored(provider_id: str) -> None:
    assert receipts_store("probe", [by_id(provider_id, delivered=True)]) == 0


numbers = count()


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    reports=st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=8),
    early=st.integers(0, 8),
    together=st.booleans(),
    parts=st.sampled_from([1, 3]),
)
def test_parts_are_reported_in_any_order(
    alice: User, reports: list[tuple[int, bool]], early: int, together: bool, parts: int
) -> None:
    """Repeated, contradicting, before the answer is recorded, and also where we count other parts than the provider."""
    run = started(alice, contacts=1, name=f"Parts {next(numbers)}", text=f"Parts {next(numbers)}")[1]
    ids = tuple(f"{run.pk}-{part}" for part in range(3))
    rows = [by_id(ids[part], delivered) for part, delivered in reports]
    report(*rows[:early], together=together)
    (message,) = accept(run, ids, parts=parts)
    apply_due(timedelta(hours=1))
    report(*rows[early:], together=together)
    delivered = {part for part, arrived in reports if arrived}
    expected = "delivered" if len(delivered) == 3 else "sent"
    if not all(arrived for _, arrived in reports):
        expected = "undelivered"
    assert state(message)[0] == expected
    assert_counters_match(run.campaign)
    assert not WaitingReceipt.objects.exists()
