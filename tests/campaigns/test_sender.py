"""The slice against the sandbox: what a misbehaving gateway does to messages, and what it can't do."""

from concurrent.futures import Future
from datetime import time, timedelta
from typing import Any, cast
from uuid import uuid4

import pytest
import time_machine
from django.conf import settings as project_settings
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now
from pytest_django import Settings

from accounts.models import User
from campaigns import services
from campaigns.gateways.base import Request
from campaigns.gateways.probe import Probe
from campaigns.lifecycle import campaign_advance
from campaigns.models import Attempt, Campaign, Gateway, Lease, Message, RunReason
from campaigns.routing import Route
from campaigns.sandbox.server import Sandbox
from campaigns.sending import clerk, hand, sender, sweeper
from campaigns.sending.breaker import FAILURES_TO_OPEN
from campaigns.sending.lease import lease
from campaigns.sending.sender import Slice
from campaigns.sending.transport import CurlTransport
from campaigns.states import CampaignStatus
from directory.audience import Audience
from directory.models import Contact
from directory.suppression import suppress
from project.http import Conflict
from tests import factories
from tests.campaigns import outcomes
from tests.campaigns.engine import Inline, assert_counters_true, send_everything, slice_of, statuses

KINDS = ("error", "unavailable", "throttle", "reset", "html", "broken", "code", "huge", "redirect", "lost")


@pytest.fixture(autouse=True)
def fast_retries(settings: Settings) -> None:
    settings.RETRY_BASE = 0.01
    settings.RETRY_CAP = 0.1
    settings.GATEWAY_TIMEOUT = 3
    settings.MAX_ATTEMPTS = 50


def make(owner: User, number: int, **fields: Any) -> Campaign:
    phones = range(79050000000, 79050000000 + number)
    Contact.objects.bulk_create(Contact(owner=owner, phone=n, operator_code="905", first_name="Ира") for n in phones)
    fields = {"text": "Привет, {first_name|друг}!", "ends_at": now() + timedelta(hours=1), **fields}
    return services.campaign_create(owner=owner, name="Sale", audience=Audience(), **fields)


def test_every_message_goes_out_once_and_the_campaign_finishes(alice: User, sandbox: Sandbox) -> None:
    campaign = make(alice, 300)
    send_everything(campaign, sandbox)
    assert campaign.status == CampaignStatus.FINISHED
    assert statuses(campaign) == {"sent": 300}
    assert sandbox.ledger.requests == sandbox.ledger.accepted == 300
    assert_counters_true(campaign)
    run = campaign.runs.get()
    assert run.finished_at
    assert (run.attempts, run.parts) == (300, 300)
    assert run.reached in run.messages.values_list("pk", flat=True)
    message = Message.objects.filter(run=run).first()
    assert message
    assert message.text == "Привет, Ира!"
    assert message.contact
    assert message.phone == message.contact.phone


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Sale", {"Sale"}),
        ("{last_name|friend}, {first_name}", {"friend, Anna", "Kim, Bea"}),
        ("{first_name}: {level|none}", {"Anna: gold", "Bea: none"}),
    ],
)
def test_each_contact_reads_its_own_text(alice: User, sandbox: Sandbox, text: str, read: set[str]) -> None:
    factories.contact(alice, first_name="Anna", attributes={"level": "gold", "last_name": "x"})
    factories.contact(alice, first_name="Bea", last_name="Kim")
    campaign = make(alice, 0, text=text)
    send_everything(campaign, sandbox)
    assert set(Message.objects.values_list("text", flat=True)) == read
    assert statuses(campaign) == {"sent": 2}


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_costs_time_and_nothing_else(alice: User, sandbox: Sandbox, kind: str) -> None:
    sandbox.faults = sandbox.faults.updated({kind: 0.1})
    campaign = make(alice, 60)
    send_everything(campaign, sandbox)
    assert statuses(campaign) == {"sent": 60}
    assert sandbox.ledger.accepted == 60
    assert sandbox.ledger.conflicts == sandbox.ledger.redirected == 0
    assert_counters_true(campaign)
    failures = Attempt.objects.count()
    assert failures == sandbox.ledger.requests - 60
    assert campaign.runs.get().attempts == sandbox.ledger.requests


@pytest.mark.parametrize("kind", ["reset", "lost"])
def test_a_connection_that_dies_is_not_retried_behind_our_back(
    alice: User, sandbox: Sandbox, settings: Settings, kind: str
) -> None:
    settings.GATEWAY_CONCURRENCY = 5
    sandbox.faults = sandbox.faults.updated({kind: 0.2})
    campaign = make(alice, 100)
    send_everything(campaign, sandbox)
    assert campaign.runs.get().attempts == sandbox.ledger.requests
    assert Attempt.objects.filter(reason="reset").count() == sandbox.ledger.outcomes[kind] > 0


def test_a_gateway_that_hangs_is_given_up_in_time(alice: User, sandbox: Sandbox, settings: Settings) -> None:
    settings.GATEWAY_TIMEOUT = 0.5
    sandbox.faults = sandbox.faults.updated({"hang": 0.2, "drip": 0.2})
    campaign = make(alice, 40)
    send_everything(campaign, sandbox)
    assert statuses(campaign) == {"sent": 40}
    attempt = Attempt.objects.filter(reason="timeout").first()
    assert attempt
    assert attempt.uncertain
    assert 450 <= attempt.duration_ms < 1500


def test_a_refusal_for_good_is_not_tried_again(alice: User, sandbox: Sandbox) -> None:
    sandbox.faults = sandbox.faults.updated({"refuse": 1})
    campaign = make(alice, 5)
    send_everything(campaign, sandbox)
    assert statuses(campaign) == {"failed": 5}
    assert sandbox.ledger.requests == 5
    attempt = Attempt.objects.first()
    assert attempt
    assert (attempt.reason, attempt.http_status) == ("http_400", 400)
    assert attempt.answer


def test_attempts_are_used_up(alice: User, sandbox: Sandbox, settings: Settings) -> None:
    settings.MAX_ATTEMPTS = 3
    sandbox.faults = sandbox.faults.updated({"error": 1})
    campaign = make(alice, 2)
    send_everything(campaign, sandbox)
    assert statuses(campaign) == {"failed": 2}
    assert sandbox.ledger.requests == 6
    assert set(Message.objects.values_list("reason", "attempts")) == {("http_500", 3)}
    assert RunReason.objects.get().number == Message.objects.count() * 3


def test_a_wrong_token_stops_the_gateway_and_costs_no_attempt(alice: User, sandbox: Sandbox) -> None:
    campaign = make(alice, 30)
    campaign_advance(campaign.pk)
    slice_of(sandbox, token="wrong", seconds=2)
    gateway = Gateway.objects.get()
    assert gateway.alert == "http_401"
    assert gateway.open_until
    assert statuses(campaign) == {"pending": 30}
    assert set(Message.objects.values_list("attempts", flat=True)) == {0}
    Gateway.objects.update(open_until=now())
    send_everything(campaign, sandbox)
    assert statuses(campaign) == {"sent": 30}
    assert Gateway.objects.get().alert == ""
    assert sandbox.ledger.conflicts == 0


def test_an_outage_is_probed_by_one_message_and_spends_no_attempts(alice: User, sandbox: Sandbox) -> None:
    sandbox.faults = sandbox.faults.updated({"outage": True})
    campaign = make(alice, 200)
    campaign_advance(campaign.pk)
    slice_of(sandbox)
    assert Gateway.objects.get().open_until
    before, spent = sandbox.ledger.requests, sorted(Message.objects.values_list("attempts", flat=True))
    for _ in range(3):
        Gateway.objects.update(open_until=now())
        Message.objects.update(due_at=now())
        slice_of(sandbox)
    assert sandbox.ledger.requests == before + 3
    assert sorted(Message.objects.values_list("attempts", flat=True)) == spent
    sandbox.faults = sandbox.faults.updated({"outage": False})
    Gateway.objects.update(open_until=now())
    send_everything(campaign, sandbox)
    assert statuses(campaign) == {"sent": 200}


def test_an_outage_at_full_speed_stops_at_once(alice: User, sandbox: Sandbox, settings: Settings) -> None:
    settings.GATEWAY_CONCURRENCY = 10
    sandbox.faults = sandbox.faults.updated({"outage": True})
    campaign = make(alice, 500)
    campaign_advance(campaign.pk)
    slice_of(sandbox, seconds=0.9)
    assert FAILURES_TO_OPEN <= sandbox.ledger.requests < FAILURES_TO_OPEN + 2 * settings.GATEWAY_CONCURRENCY
    assert statuses(campaign) == {"pending": 500}


def test_nothing_leaves_while_retry_after_holds(alice: User, sandbox: Sandbox) -> None:
    sandbox.faults = sandbox.faults.updated({"throttle": 0.1, "retry_after": 1, "early_grace": 0.5})
    campaign = make(alice, 300)
    send_everything(campaign, sandbox)
    assert statuses(campaign) == {"sent": 300}
    assert sandbox.ledger.outcomes["throttle"] > 0
    assert sandbox.ledger.early == 0


def test_the_end_is_respected(alice: User, sandbox: Sandbox) -> None:
    sandbox.faults = sandbox.faults.updated({"latency": 0.05})
    campaign = make(alice, 600, rate_limit=100)
    # Only now, for making contacts takes a busy machine a while.
    services.campaign_update(campaign=campaign, by=alice, ends_at=now() + timedelta(seconds=2))
    send_everything(campaign, sandbox)
    campaign.refresh_from_db()
    end = campaign.ends_at.timestamp()
    # The ledger writes after its latency, and the machine may be busy.
    assert max(entry.last_at for entry in sandbox.ledger.messages.values()) < end + 0.5
    assert campaign.status == CampaignStatus.FINISHED
    found = statuses(campaign)
    assert found.keys() <= {"sent", "expired", "unknown"}
    assert 0 < found["sent"] <= sandbox.ledger.accepted <= found["sent"] + found.get("unknown", 0)
    assert_counters_true(campaign)


def test_nothing_is_leased_once_the_end_has_come(alice: User) -> None:
    campaign = make(alice, 3)
    campaign_advance(campaign.pk)
    run = campaign.runs.get()
    with time_machine.travel(campaign.ends_at, tick=False):
        assert lease(run, uuid4(), 3, Route("probe")) == []
    assert statuses(campaign) == {"pending": 3}
    with time_machine.travel(campaign.ends_at - timedelta(seconds=1), tick=False):
        assert len(lease(run, uuid4(), 3, Route("probe"))) == 3


def test_a_pause_keeps_everything_back_and_a_resume_goes_on(alice: User, sandbox: Sandbox) -> None:
    campaign = make(alice, 400, rate_limit=200)
    campaign_advance(campaign.pk)
    slice_of(sandbox, seconds=0.5)
    sent = sandbox.ledger.accepted
    assert 0 < sent < 400
    services.campaign_pause(campaign=campaign, by=alice)
    slice_of(sandbox)
    assert sandbox.ledger.accepted == sent
    campaign = services.campaign_resume(campaign=campaign, by=alice)
    services.campaign_update(campaign=campaign, by=alice, rate_limit=None)
    send_everything(campaign, sandbox)
    assert statuses(campaign) == {"sent": 400}


def test_a_cancel_leaves_the_rest_unsent(alice: User, sandbox: Sandbox) -> None:
    campaign = make(alice, 400, rate_limit=200)
    campaign_advance(campaign.pk)
    slice_of(sandbox, seconds=0.5)
    services.campaign_cancel(campaign=campaign, by=alice)
    slice_of(sandbox)
    campaign_advance(campaign.pk)
    found = statuses(campaign)
    assert found == {"sent": sandbox.ledger.accepted, "cancelled": 400 - sandbox.ledger.accepted}
    assert_counters_true(campaign)


def test_one_who_opts_out_before_the_message_leaves_is_not_written_to(alice: User, sandbox: Sandbox) -> None:
    campaign = make(alice, 3)
    campaign_advance(campaign.pk)
    gone = Contact.objects.order_by("pk")[0]
    Contact.objects.filter(pk=gone.pk).update(opted_out=True)
    send_everything(campaign, sandbox)
    assert statuses(campaign) == {"sent": 2, "cancelled": 1}
    assert Message.objects.get(contact=gone).reason == "not_recipient"
    assert_counters_true(campaign)


def test_one_whose_zone_is_not_known_any_more_fails_unless_it_may_have_been_accepted(
    alice: User, sandbox: Sandbox
) -> None:
    campaign = make(alice, 2, window=(time.min, time.max))
    campaign_advance(campaign.pk)
    tried = outcomes.retry(campaign.runs.get())
    Contact.objects.update(timezone="Mars/Base")
    slice_of(sandbox)
    assert Message.objects.get(pk=tried.pk).status == "unknown"
    assert statuses(campaign) == {"unknown": 1, "failed": 1}
    assert sandbox.ledger.requests == 0
    assert_counters_true(campaign)


@pytest.mark.parametrize("shut", [True, False])
def test_a_retry_does_not_follow_a_phone_that_has_opted_out(alice: User, sandbox: Sandbox, shut: bool) -> None:
    sandbox.faults = sandbox.faults.updated({"error": 1})
    campaign = make(alice, 1)
    campaign_advance(campaign.pk)
    slice_of(sandbox, stopping=lambda: sandbox.ledger.requests > 0)
    phone = Message.objects.get().phone
    Contact.objects.update(phone=79060000001)
    if shut:
        suppress([cast("int", phone)], by=alice)
    sandbox.faults = type(sandbox.faults)()
    send_everything(campaign, sandbox)
    assert statuses(campaign) == ({"unknown": 1} if shut else {"sent": 1})
    assert Message.objects.get().phone == phone
    assert_counters_true(campaign)


def test_a_text_that_comes_out_empty_for_a_contact_is_not_sent(alice: User, sandbox: Sandbox) -> None:
    campaign = make(alice, 3, text="{nickname} ")
    campaign_advance(campaign.pk)
    known = Contact.objects.order_by("pk")[0]
    Contact.objects.filter(pk=known.pk).update(attributes={"nickname": "Ann"})
    send_everything(campaign, sandbox)
    assert sandbox.ledger.accepted == 1
    assert statuses(campaign) == {"sent": 1, "failed": 2}
    assert {m.reason for m in Message.objects.exclude(contact=known)} == {"empty_text"}
    assert_counters_true(campaign)


def test_a_small_campaign_does_not_wait_for_a_large_one(alice: User, sandbox: Sandbox) -> None:
    sandbox.faults = sandbox.faults.updated({"latency": 0.02})
    large = make(alice, 3000)
    campaign_advance(large.pk)
    factories.contact(alice, tags=("few",))
    small = services.campaign_create(
        owner=alice,
        name="Small",
        text="Only you",
        audience=Audience(tags=("few",)),
        ends_at=now() + timedelta(hours=1),
    )
    campaign_advance(small.pk)
    slice_of(sandbox, seconds=0.5)
    assert statuses(small) == {"sent": 1}
    assert statuses(large)["pending"] > 0


def test_the_configured_rate_is_not_exceeded(alice: User, sandbox: Sandbox, settings: Settings) -> None:
    settings.GATEWAY_RATE = 100
    make(alice, 1000)
    campaign_advance(Campaign.objects.get().pk)
    slice_of(sandbox, seconds=2)
    times = sorted(entry.first_at for entry in sandbox.ledger.messages.values())
    assert len(times) > 50
    for first, later in zip(times, times[100:], strict=False):
        assert later - first > 0.85


def test_a_text_changed_while_paused_reaches_those_not_yet_tried(alice: User, sandbox: Sandbox) -> None:
    campaign = make(alice, 100, rate_limit=50)
    campaign_advance(campaign.pk)
    slice_of(sandbox, seconds=0.5)
    campaign = services.campaign_pause(campaign=campaign, by=alice)
    campaign = services.campaign_update(campaign=campaign, by=alice, text="Новый текст")
    sent = sandbox.ledger.accepted
    campaign = services.campaign_resume(campaign=campaign, by=alice)
    campaign = services.campaign_update(campaign=campaign, by=alice, rate_limit=None)
    send_everything(campaign, sandbox)
    texts = list(Message.objects.values_list("text", flat=True))
    assert texts.count("Привет, Ира!") == sent
    assert texts.count("Новый текст") == 100 - sent


def test_only_what_failed_is_retried_with_the_same_payload(alice: User, sandbox: Sandbox) -> None:
    sandbox.faults = sandbox.faults.updated({"refuse": 0.5})
    campaign = make(alice, 40)
    send_everything(campaign, sandbox)
    failed = statuses(campaign)["failed"]
    assert campaign.status == CampaignStatus.FINISHED
    sandbox.faults = type(sandbox.faults)()
    requests = sandbox.ledger.requests
    campaign = services.campaign_retry_failed(campaign=campaign, by=alice)
    assert campaign.status == CampaignStatus.RUNNING
    assert_counters_true(campaign)
    send_everything(campaign, sandbox)
    assert statuses(campaign) == {"sent": 40}
    assert sandbox.ledger.requests == requests + failed
    assert sandbox.ledger.conflicts == 0
    assert_counters_true(campaign)
    with pytest.raises(Conflict):
        services.campaign_retry_failed(campaign=campaign, by=alice)


def test_three_bad_numbers_do_not_stop_everyone(alice: User, sandbox: Sandbox, settings: Settings) -> None:
    settings.MAX_ATTEMPTS = 30
    sandbox.faults = sandbox.faults.updated({"error": 1})
    bad = make(alice, 3)
    campaign_advance(bad.pk)
    gateway = Gateway.objects.filter(open_until__isnull=False)
    while not gateway.exists():
        slice_of(sandbox)
    sandbox.faults = type(sandbox.faults)()
    for number in range(20):
        factories.contact(alice, phone=79060000000 + number, tags=("good",))
    good = services.campaign_create(
        owner=alice, name="Good", text="Hi", audience=Audience(tags=("good",)), ends_at=now() + timedelta(hours=1)
    )
    campaign_advance(good.pk)
    Message.objects.filter(run__campaign=bad).update(due_at=now() + timedelta(minutes=1))
    gateway.update(open_until=now())
    send_everything(good, sandbox)
    assert statuses(good) == {"sent": 20}


def test_a_failed_probe_lets_another_message_try(alice: User, sandbox: Sandbox) -> None:
    make(alice, 2)
    campaign_advance(Campaign.objects.get().pk)
    Gateway.objects.create(name="probe", open_until=now())
    sandbox.faults = sandbox.faults.updated({"error": 1})
    for _ in range(2):
        slice_of(sandbox)
        Gateway.objects.update(open_until=now())
    assert Attempt.objects.values("message").distinct().count() == 2
    assert set(Message.objects.values_list("attempts", flat=True)) == {0}


def test_an_outage_that_asks_to_wait_is_probed_like_any_other(alice: User, sandbox: Sandbox) -> None:
    sandbox.faults = sandbox.faults.updated({"unavailable": 1})
    make(alice, 10)
    campaign_advance(Campaign.objects.get().pk)
    Gateway.objects.create(name="probe", open_until=now(), opened_at=now(), alert="http_503")
    slice_of(sandbox)
    gateway = Gateway.objects.get()
    assert gateway.open_until
    assert gateway.openings == 1
    assert sandbox.ledger.requests == 1


def slice_before_a_probe(sandbox: Sandbox) -> Slice:
    """A slice of a gateway that is out, whose breaker gives a probe to the next who asks."""
    sandbox.faults = sandbox.faults.updated({"outage": True})
    Gateway.objects.create(name="probe", open_until=now(), opened_at=now())
    adapter = Probe(sandbox.url, project_settings.GATEWAY_TOKEN)
    return Slice(adapter, CurlTransport(adapter.headers), executor=Inline(), seconds=0.5)


def test_what_is_in_hand_already_is_no_probe(alice: User, sandbox: Sandbox) -> None:
    campaign = make(alice, 30)
    campaign_advance(campaign.pk)
    run = campaign.runs.select_related("campaign").get()
    held = slice_before_a_probe(sandbox)
    held.hand.add(run, lease(run, held.token, 20, Route("probe")))
    held.run()
    held.transport.close()
    assert sandbox.ledger.requests == 1
    assert statuses(campaign) == {"pending": 30}


def test_a_probe_is_not_forgotten_while_a_lease_takes_its_time(alice: User, sandbox: Sandbox) -> None:
    campaign = make(alice, 3)
    campaign_advance(campaign.pk)
    slow = slice_before_a_probe(sandbox)
    slow._leasing = Future()
    for _ in range(2):
        slow._asked_at = 0.0
        slow._look()
    assert slow.permit.probe
    slow._leasing = None
    slow.run()
    slow.transport.close()
    assert sandbox.ledger.requests == 1


def test_runs_take_turns_however_slow_the_gateway_is(alice: User, sandbox: Sandbox, settings: Settings) -> None:
    settings.GATEWAY_CONCURRENCY = 5
    sandbox.faults = sandbox.faults.updated({"latency": 0.05, "jitter": 0.05})
    large = make(alice, 500)
    campaign_advance(large.pk)
    small = [make(alice, 0, text=f"Small {number}") for number in range(3)]
    for campaign in small:
        campaign_advance(campaign.pk)
    slice_of(sandbox, stopping=lambda: sandbox.ledger.accepted >= 120)
    sent = [statuses(campaign).get("sent", 0) for campaign in (large, *small)]
    assert min(sent) > max(sent) / 3


def test_runs_that_wait_for_their_hour_are_not_asked(alice: User, sandbox: Sandbox) -> None:
    waiting = make(alice, 5)
    campaign_advance(waiting.pk)
    Message.objects.update(due_at=now() + timedelta(hours=1))
    assert slice_of(sandbox) == set()


def test_a_crowd_that_opted_out_takes_one_slice(alice: User, sandbox: Sandbox) -> None:
    campaign = make(alice, 500)
    campaign_advance(campaign.pk)
    Contact.objects.filter(pk__gt=Contact.objects.earliest("pk").pk).update(opted_out=True)
    assert slice_of(sandbox) == {campaign.runs.get().pk}
    assert statuses(campaign) == {"sent": 1, "cancelled": 499}


def test_what_went_back_is_leased_again_before_the_slice_is_over(
    alice: User, sandbox: Sandbox, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.GATEWAY_CONCURRENCY = 2
    sandbox.faults = sandbox.faults.updated({"latency": 0.05})
    monkeypatch.setattr(hand, "IN_HAND_SECONDS", 0.01)
    campaign = make(alice, 12)
    campaign_advance(campaign.pk)
    slice_of(sandbox)
    assert statuses(campaign) == {"sent": 12}


def test_the_last_messages_of_a_run_are_leased_once(alice: User, sandbox: Sandbox, settings: Settings) -> None:
    settings.GATEWAY_CONCURRENCY = 2
    sandbox.faults = sandbox.faults.updated({"latency": 0.05})
    campaign = make(alice, 20)
    campaign_advance(campaign.pk)
    with CaptureQueriesContext(connection) as queries:
        slice_of(sandbox)
    assert statuses(campaign) == {"sent": 20}
    leases = [query for query in queries.captured_queries if query["sql"].startswith("WITH payload")]
    assert len(leases) <= 12


def rescue(campaign: Campaign) -> None:
    """Let all leases run out, and have the sweeper look after them."""
    Lease.objects.update(until=now() - timedelta(seconds=1))
    sweeper.rescue(idempotent=lambda _: True)
    assert_counters_true(campaign)


def test_what_a_slice_had_that_broke_is_not_lost(
    alice: User, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Probe, message_id: int, phone: int, text: str) -> Request:
        raise RuntimeError

    campaign = make(alice, 5)
    campaign_advance(campaign.pk)
    monkeypatch.setattr(Probe, "build", broken)
    with pytest.raises(RuntimeError):
        slice_of(sandbox)
    rescue(campaign)
    assert statuses(campaign) == {"pending": 5}


def test_what_is_still_in_flight_when_patience_ends_is_not_lost(
    alice: User, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "GRACE_SECONDS", 0.0)
    sandbox.faults = sandbox.faults.updated({"latency": 1})
    campaign = make(alice, 5)
    campaign_advance(campaign.pk)
    slice_of(sandbox, seconds=0.3)
    rescue(campaign)
    assert statuses(campaign) == {"pending": 5}


@pytest.mark.django_db(transaction=True)
def test_what_was_leased_before_an_error_that_followed_the_commit_is_not_lost(
    alice: User, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        monkeypatch.setattr(clerk, "lease", lease)
        raise RuntimeError

    def lease_and_break(*args: Any) -> Any:
        transaction.on_commit(broken)
        return lease(*args)

    campaign = make(alice, 5)
    campaign_advance(campaign.pk)
    monkeypatch.setattr(clerk, "lease", lease_and_break)
    slice_of(sandbox, seconds=0.5)
    rescue(campaign)
    assert statuses(campaign) == {"pending": 5}


def test_a_token_of_other_letters_is_for_the_gateway_to_refuse(alice: User, sandbox: Sandbox) -> None:
    campaign = make(alice, 5)
    campaign_advance(campaign.pk)
    slice_of(sandbox, token="токен", seconds=0.5)
    assert Gateway.objects.get().alert == "http_401"
    assert statuses(campaign) == {"pending": 5}
