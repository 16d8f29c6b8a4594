"""Transactional messages: sent at once, with their own figures."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet

from accounts.models import User
from campaigns import services, tasks
from campaigns.messages import transactional
from campaigns.messages.transactional import message_send
from campaigns.models import Campaign, Message, Run
from campaigns.planning.lifecycle import SEND, advance, campaign_advance
from campaigns.sandbox.server import Sandbox
from campaigns.sending import circuit_breaker
from campaigns.states import CampaignStatus
from reports.dashboard import figures
from tests import factories
from tests.campaigns.engine import assert_counters_match, hints, run_session

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
PHONE = 79991234567
WRITTEN = "8 (999) 123-45-67"


def hidden(owner: User) -> Campaign:
    return Campaign.objects.get(owner=owner, transactional=True)


def test_a_transactional_message_is_sent_at_once(alice: User, sandbox: Sandbox) -> None:
    message = message_send(owner=alice, phone=WRITTEN, text="Your code is 1234")
    assert (message.status, message.phone, message.text, message.contact) == (
        "pending",
        PHONE,
        "Your code is 1234",
        None,
    )
    assert hints(SEND) == 1
    run_session(sandbox)
    message.refresh_from_db()
    assert message.status == "sent"
    came = [(each.message.id, each.message.phone, each.message.text) for each in sandbox.ledger.last]
    assert came == [(message.pk, PHONE, "Your code is 1234")]
    assert_counters_match(hidden(alice))


@pytest.mark.parametrize(
    ("known", "text"), [(True, "Anna: gold, +79991234567"), (False, "friend: , +79991234567")], ids=["known", "unknown"]
)
def test_the_text_is_that_of_the_contact_with_the_phone(alice: User, known: bool, text: str) -> None:
    if known:
        factories.contact(alice, phone=PHONE, first_name="Anna", attributes={"level": "gold"})
    assert message_send(owner=alice, phone=WRITTEN, text="{first_name|friend}: {level}, +{phone}").text == text


def test_the_same_phone_may_get_several_on_a_day(alice: User) -> None:
    factories.contact(alice, phone=PHONE)
    for _ in range(2):
        message_send(owner=alice, phone=PHONE, text="Hello")
    assert Run.objects.get().pending == Message.objects.count() == 2


@pytest.mark.parametrize("written", ["", "hello", "12345", "+1 202 555 0100", "7" * 60])
def test_an_invalid_phone_is_refused(alice: User, written: str) -> None:
    with pytest.raises(ValidationError) as refused:
        message_send(owner=alice, phone=written, text="Hello")
    assert set(refused.value.message_dict) == {"phone"}
    assert not Message.objects.exists()


@pytest.mark.parametrize("text", [" \n", "{first_name}", "{first_name| }"])
def test_a_text_that_renders_empty_is_refused(alice: User, text: str) -> None:
    with pytest.raises(ValidationError) as refused:
        message_send(owner=alice, phone=PHONE, text=text)
    assert set(refused.value.message_dict) == {"text"}
    assert not Message.objects.exists()


@pytest.mark.parametrize("changes", [{"opted_out": True}, {"is_active": False}], ids=str)
def test_opted_out_contacts_get_no_message(alice: User, sandbox: Sandbox, changes: dict[str, Any]) -> None:
    contact = factories.contact(alice, phone=PHONE)
    accepted = message_send(owner=alice, phone=PHONE, text="Hello")
    for name, value in changes.items():
        setattr(contact, name, value)
    contact.save()
    with pytest.raises(ValidationError) as refused:
        message_send(owner=alice, phone=PHONE, text="Hello")
    assert set(refused.value.message_dict) == {"phone"}
    run_session(sandbox)
    accepted.refresh_from_db()
    assert (accepted.status, accepted.reason) == ("cancelled", "not_recipient")
    assert not sandbox.ledger.requests
    assert_counters_match(hidden(alice))


def test_each_user_has_one_hidden_campaign_with_a_run_for_each_day(alice: User, bob: User) -> None:
    for moment, owner in (
        (NOON, alice),
        (NOON + timedelta(hours=11), alice),
        (NOON + timedelta(days=1), alice),
        (NOON, bob),
    ):
        with time_machine.travel(moment, tick=False):
            message_send(owner=owner, phone=PHONE, text="Hello")
    assert Campaign.objects.filter(transactional=True).count() == 2
    runs = hidden(alice).runs.order_by("occurrence").values_list("occurrence", "ends_at", "pending")
    midnight = NOON.replace(hour=0)
    day = timedelta(days=1)
    assert list(runs) == [(midnight, midnight + 2 * day, 2), (midnight + day, midnight + 3 * day, 1)]


def test_two_concurrent_first_messages_create_one_campaign(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    message_send(owner=alice, phone=PHONE, text="Hello")
    first, looked = QuerySet.first, []

    def too_early(rows: QuerySet[Any]) -> Any:
        looked.append(rows)
        return None if len(looked) == 1 else first(rows)

    monkeypatch.setattr(QuerySet, "first", too_early)
    assert transactional._campaign_of(alice, None) == hidden(alice)
    assert looked


def test_a_closed_run_opens_again_for_the_next_message(alice: User, sandbox: Sandbox) -> None:
    message_send(owner=alice, phone=PHONE, text="Hello")
    run_session(sandbox)
    campaign_advance(hidden(alice).pk)
    assert Run.objects.get().finished_at
    assert hidden(alice).status == CampaignStatus.RUNNING
    message_send(owner=alice, phone=PHONE, text="Hello again")
    run_session(sandbox)
    assert Run.objects.get().sent == 2


def test_a_message_not_sent_within_two_days_expires(alice: User, sandbox: Sandbox) -> None:
    with time_machine.travel(NOON, tick=False) as traveller:
        message_send(owner=alice, phone=PHONE, text="Hello")
        traveller.shift(timedelta(days=2))
        tasks.sweep()
        assert hints(advance.name) == 1
        campaign_advance(hidden(alice).pk)
    run = Run.objects.get()
    assert (run.expired, run.pending, bool(run.finished_at)) == (1, 0, True)
    assert_counters_match(hidden(alice))


def test_the_sweep_ignores_idle_transactional_campaigns(alice: User, sandbox: Sandbox) -> None:
    message_send(owner=alice, phone=PHONE, text="Hello")
    run_session(sandbox)
    campaign_advance(hidden(alice).pk)
    tasks.sweep()
    assert hints(advance.name) == 0


def test_an_open_circuit_breaker_delays_it(alice: User, sandbox: Sandbox) -> None:
    circuit_breaker.permit("probe")
    circuit_breaker.credentials_refused("probe", "http_401")
    message = message_send(owner=alice, phone=PHONE, text="Hello")
    run_session(sandbox)
    message.refresh_from_db()
    assert (message.status, message.attempts) == ("pending", 0)


@pytest.mark.parametrize("status", CampaignStatus)
def test_a_test_of_a_campaign_is_sent_in_any_state_and_counts_elsewhere(
    alice: User, sandbox: Sandbox, status: CampaignStatus
) -> None:
    factories.contact(alice, phone=PHONE, first_name="Anna")
    campaign = factories.campaign(alice, text="Hello {first_name|friend}", draft=True)
    Campaign.objects.filter(pk=campaign.pk).update(status=status)
    message = services.campaign_test(campaign=campaign, by=alice, phone=WRITTEN)
    run_session(sandbox)
    message.refresh_from_db()
    assert (message.status, message.text) == ("sent", "Hello Anna")
    campaign.refresh_from_db()
    assert (campaign.status, campaign.runs.exists()) == (status, False)


def test_only_users_who_may_open_a_campaign_may_test_it(alice: User, bob: User, admin: User) -> None:
    campaign = factories.campaign(alice, draft=True)
    with pytest.raises(PermissionDenied):
        services.campaign_test(campaign=campaign, by=bob, phone=PHONE)
    message = services.campaign_test(campaign=campaign, by=admin, phone=PHONE)
    assert message.run.campaign.owner == admin


def test_it_counts_among_messages_and_not_among_campaigns(alice: User) -> None:
    message_send(owner=alice, phone=PHONE, text="Hello")
    assert not Campaign.objects.visible().exists()
    assert sum(figures.campaigns_by_status(alice).values()) == 0
    assert figures.messages_by_status(alice)["pending"] == 1
