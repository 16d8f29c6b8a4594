"""Send sessions against the sandbox: how messages survive a misbehaving gateway."""

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
from campaigns.gateways.drivers.probe import Probe
from campaigns.gateways.protocol import Answer, Request, TransportFailure
from campaigns.gateways.routing import Route
from campaigns.models import Attempt, Campaign, Gateway, Lease, Message
from campaigns.planning.lifecycle import campaign_advance
from campaigns.sandbox.server import Sandbox
from campaigns.sending import buffer, db_worker, rescuer, session
from campaigns.sending.lease import lease
from campaigns.sending.session import SendSession
from campaigns.sending.transport import CurlTransport
from campaigns.states import CampaignStatus
from directory.audiences.audience import Audience
from directory.contacts.services import contact_update
from directory.models import Contact
from directory.suppression.services import suppress
from project.http.errors import Conflict
from tests import factories
from tests.campaigns import outcomes
from tests.campaigns.engine import (
    Inline,
    assert_counters_match,
    campaign_to,
    run_session,
    send_everything,
    statuses,
)

pytestmark = pytest.mark.usefixtures("fast_retries")
KINDS = ("error", "unavailable", "throttle", "reset", "html", "broken", "code", "huge", "redirect", "lost")


def test_every_message_goes_out_once_and_the_campaign_finishes(alice: User, sandbox: Sandbox) -> None:
    campaign = campaign_to(alice, 300)
    send_everything(campaign, sandbox)
    assert campaign.status == CampaignStatus.FINISHED
    assert statuses(campaign) == {"sent": 300}
    assert sandbox.ledger.requests == sandbox.ledger.accepted == 300
    assert_counters_match(campaign)
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
    campaign = campaign_to(alice, 0, text=text)
    send_everything(campaign, sandbox)
    assert set(Message.objects.values_list("text", flat=True)) == read
    assert statuses(campaign) == {"sent": 2}


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_only_delays_messages(alice: User, sandbox: Sandbox, kind: str) -> None:
    sandbox.faults = sandbox.faults.updated({kind: 0.1})
    campaign = campaign_to(alice, 60)
    send_everything(campaign, sandbox)
    assert statuses(campaign) == {"sent": 60}
    assert sandbox.ledger.accepted == 60
    assert sandbox.ledger.conflicts == sandbox.ledger.redirected == 0
    assert_counters_match(campaign)
    failures = Attempt.objects.count()
    assert failures == sandbox.ledger.requests - 60
    assert campaign.runs.get().attempts == sandbox.ledger.requests


@pytest.mark.parametrize("kind", ["reset", "lost"])
def test_the_transport_does_not_retry_a_broken_connection(
    alice: User, sandbox: Sandbox, settings: Settings, kind: str
) -> None:
    settings.GATEWAY_CONCURRENCY = 5
    sandbox.faults = sandbox.faults.updated({kind: 0.2})
    campaign = campaign_to(alice, 100)
    send_everything(campaign, sandbox)
    assert campaign.runs.get().attempts == sandbox.ledger.requests
    assert Attempt.objects.filter(reason="reset").count() == sandbox.ledger.outcomes[kind] > 0


def test_a_gateway_that_hangs_is_given_up_in_time(alice: User, sandbox: Sandbox, settings: Settings) -> None:
    settings.GATEWAY_TIMEOUT = 0.5
    sandbox.faults = sandbox.faults.updated({"hang": 0.2, "drip": 0.2})
    campaign = campaign_to(alice, 40)
    send_everything(campaign, sandbox)
    assert statuses(campaign) == {"sent": 40}
    attempt = Attempt.objects.filter(reason="timeout").first()
    assert attempt
    assert attempt.uncertain
    assert 450 <= attempt.duration_ms < 1500


class FewSockets(CurlTransport):
    """A transport in a process that may open only ten sockets."""

    def __init__(self, headers: list[str]) -> None:
        super().__init__(headers)
        self.refused: list[tuple[Any, Answer]] = []

    def submit(self, key: Any, request: Request, timeout: float) -> None:
        if self.in_flight < 10:
            super().submit(key, request, timeout)
        else:
            self.refused.append((key, Answer(failure=TransportFailure.NO_FILES)))

    def poll(self, wait: float) -> list[tuple[Any, Answer]]:
        refused, self.refused = self.refused, []
        return refused or super().poll(wait)


def test_too_many_open_files_cost_no_attempt(alice: User, sandbox: Sandbox, settings: Settings) -> None:
    settings.GATEWAY_CONCURRENCY = 60
    campaign = campaign_to(alice, 60)
    driver = Probe(sandbox.url, project_settings.GATEWAY_TOKEN)
    campaign_advance(campaign.pk)
    transport = FewSockets(driver.headers)
    SendSession(driver, transport, executor=Inline()).run()
    transport.close()
    assert statuses(campaign) == {"sent": 60}
    assert not Attempt.objects.exists()
    assert campaign.runs.get().attempts == sandbox.ledger.requests == 60
    assert Gateway.objects.get().open_until is None
    assert_counters_match(campaign)


def test_a_wrong_token_stops_the_gateway_and_costs_no_attempt(alice: User, sandbox: Sandbox) -> None:
    campaign = campaign_to(alice, 30)
    campaign_advance(campaign.pk)
    run_session(sandbox, token="wrong", seconds=2)
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


def test_nothing_is_sent_during_retry_after(alice: User, sandbox: Sandbox) -> None:
    sandbox.faults = sandbox.faults.updated({"throttle": 0.1, "retry_after": 1, "early_grace": 0.5})
    campaign = campaign_to(alice, 300)
    send_everything(campaign, sandbox)
    assert statuses(campaign) == {"sent": 300}
    assert sandbox.ledger.outcomes["throttle"] > 0
    assert sandbox.ledger.early == 0


def test_the_end_is_respected(alice: User, sandbox: Sandbox) -> None:
    sandbox.faults = sandbox.faults.updated({"latency": 0.05})
    campaign = campaign_to(alice, 600, rate_limit=100)
    # The end is set late, because creating contacts takes a while on a busy machine.
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
    assert_counters_match(campaign)


def test_nothing_is_leased_once_the_end_has_come(alice: User) -> None:
    campaign = campaign_to(alice, 3)
    campaign_advance(campaign.pk)
    run = campaign.runs.get()
    with time_machine.travel(campaign.ends_at, tick=False):
        assert lease({run.pk: 3}, uuid4(), Route("probe")) == []
    assert statuses(campaign) == {"pending": 3}
    with time_machine.travel(campaign.ends_at - timedelta(seconds=1), tick=False):
        assert len(lease({run.pk: 3}, uuid4(), Route("probe"))) == 3


def test_pause_stops_sending_and_resume_continues(alice: User, sandbox: Sandbox) -> None:
    campaign = campaign_to(alice, 400, rate_limit=200)
    campaign_advance(campaign.pk)
    run_session(sandbox, seconds=1)
    sent = sandbox.ledger.accepted
    assert 0 < sent < 400
    services.campaign_pause(campaign=campaign, by=alice)
    run_session(sandbox)
    assert sandbox.ledger.accepted == sent
    campaign = services.campaign_resume(campaign=campaign, by=alice)
    services.campaign_update(campaign=campaign, by=alice, rate_limit=None)
    send_everything(campaign, sandbox)
    assert statuses(campaign) == {"sent": 400}


def test_a_cancel_leaves_the_rest_unsent(alice: User, sandbox: Sandbox) -> None:
    campaign = campaign_to(alice, 400, rate_limit=200)
    campaign_advance(campaign.pk)
    run_session(sandbox, seconds=1)
    services.campaign_cancel(campaign=campaign, by=alice)
    run_session(sandbox)
    campaign_advance(campaign.pk)
    found = statuses(campaign)
    assert found == {"sent": sandbox.ledger.accepted, "cancelled": 400 - sandbox.ledger.accepted}
    assert_counters_match(campaign)


def test_a_contact_who_opts_out_before_sending_gets_no_message(alice: User, sandbox: Sandbox) -> None:
    campaign = campaign_to(alice, 3)
    campaign_advance(campaign.pk)
    opted_out = Contact.objects.order_by("pk")[0]
    Contact.objects.filter(pk=opted_out.pk).update(opted_out=True)
    send_everything(campaign, sandbox)
    assert statuses(campaign) == {"sent": 2, "cancelled": 1}
    assert Message.objects.get(contact=opted_out).reason == "not_recipient"
    assert_counters_match(campaign)


def test_a_contact_who_moves_to_another_country_before_sending_gets_no_message(alice: User, sandbox: Sandbox) -> None:
    moving, _staying = (factories.contact(alice) for _ in range(2))
    campaign = factories.campaign(alice, audience=Audience(countries=("RU",)))
    campaign_advance(campaign.pk)
    contact_update(contact=moving, by=alice, phone="+7 701 123-45-67")
    send_everything(campaign, sandbox)
    assert statuses(campaign) == {"sent": 1, "cancelled": 1}
    assert Message.objects.get(contact=moving).reason == "not_recipient"


def test_an_unknown_time_zone_fails_the_message_unless_it_may_have_been_accepted(alice: User, sandbox: Sandbox) -> None:
    campaign = campaign_to(alice, 2, window=(time.min, time.max))
    campaign_advance(campaign.pk)
    tried = outcomes.retry(campaign.runs.get())
    Contact.objects.update(timezone="Mars/Base")
    run_session(sandbox)
    assert Message.objects.get(pk=tried.pk).status == "unknown"
    assert statuses(campaign) == {"unknown": 1, "failed": 1}
    assert sandbox.ledger.requests == 0
    assert_counters_match(campaign)


@pytest.mark.parametrize("blocked", [True, False])
def test_a_retry_does_not_follow_a_phone_that_has_opted_out(alice: User, sandbox: Sandbox, blocked: bool) -> None:
    sandbox.faults = sandbox.faults.updated({"error": 1})
    campaign = campaign_to(alice, 1)
    campaign_advance(campaign.pk)
    run_session(sandbox, stopping=lambda: sandbox.ledger.requests > 0)
    phone = Message.objects.get().phone
    Contact.objects.update(phone=79060000001)
    if blocked:
        suppress([cast("int", phone)], by=alice)
    sandbox.faults = type(sandbox.faults)()
    send_everything(campaign, sandbox)
    assert statuses(campaign) == ({"unknown": 1} if blocked else {"sent": 1})
    assert Message.objects.get().phone == phone
    assert_counters_match(campaign)


def test_a_text_that_renders_empty_is_not_sent(alice: User, sandbox: Sandbox) -> None:
    known = factories.contact(alice, attributes={"nickname": "Ann"})
    campaign = campaign_to(alice, 2, text="{nickname} ")
    send_everything(campaign, sandbox)
    assert sandbox.ledger.accepted == 1
    assert statuses(campaign) == {"sent": 1, "failed": 2}
    assert {m.reason for m in Message.objects.exclude(contact=known)} == {"empty_text"}
    assert_counters_match(campaign)


def test_a_small_campaign_does_not_wait_for_a_large_one(alice: User, sandbox: Sandbox) -> None:
    sandbox.faults = sandbox.faults.updated({"latency": 0.02})
    large = campaign_to(alice, 3000)
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
    run_session(sandbox, seconds=0.5)
    assert statuses(small) == {"sent": 1}
    assert statuses(large)["pending"] > 0


def test_the_configured_rate_is_not_exceeded(alice: User, sandbox: Sandbox, settings: Settings) -> None:
    settings.GATEWAY_RATE = 100
    campaign_to(alice, 1000)
    campaign_advance(Campaign.objects.get().pk)
    run_session(sandbox, seconds=2)
    times = sorted(entry.first_at for entry in sandbox.ledger.messages.values())
    assert len(times) > 50
    for first, later in zip(times, times[100:], strict=False):
        assert later - first > 0.85


def test_a_text_changed_during_a_pause_applies_to_unattempted_messages(alice: User, sandbox: Sandbox) -> None:
    campaign = campaign_to(alice, 100, rate_limit=50)
    campaign_advance(campaign.pk)
    run_session(sandbox, seconds=1)
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
    campaign = campaign_to(alice, 40)
    send_everything(campaign, sandbox)
    failed = statuses(campaign)["failed"]
    assert campaign.status == CampaignStatus.FINISHED
    sandbox.faults = type(sandbox.faults)()
    requests = sandbox.ledger.requests
    campaign = services.campaign_retry_failed(campaign=campaign, by=alice)
    assert campaign.status == CampaignStatus.RUNNING
    assert_counters_match(campaign)
    send_everything(campaign, sandbox)
    assert statuses(campaign) == {"sent": 40}
    assert sandbox.ledger.requests == requests + failed
    assert sandbox.ledger.conflicts == 0
    assert_counters_match(campaign)
    with pytest.raises(Conflict):
        services.campaign_retry_failed(campaign=campaign, by=alice)


def test_three_bad_numbers_do_not_stop_everyone(alice: User, sandbox: Sandbox, settings: Settings) -> None:
    settings.MAX_ATTEMPTS = 30
    sandbox.faults = sandbox.faults.updated({"error": 1})
    bad = campaign_to(alice, 3)
    campaign_advance(bad.pk)
    gateway = Gateway.objects.filter(open_until__isnull=False)
    while not gateway.exists():
        run_session(sandbox)
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


def test_runs_take_turns_however_slow_the_gateway_is(alice: User, sandbox: Sandbox, settings: Settings) -> None:
    settings.GATEWAY_CONCURRENCY = 5
    sandbox.faults = sandbox.faults.updated({"latency": 0.05, "jitter": 0.05})
    large = campaign_to(alice, 500)
    campaign_advance(large.pk)
    small = [campaign_to(alice, 0, text=f"Small {number}") for number in range(3)]
    for campaign in small:
        campaign_advance(campaign.pk)
    run_session(sandbox, stopping=lambda: sandbox.ledger.accepted >= 120)
    sent = [statuses(campaign).get("sent", 0) for campaign in (large, *small)]
    assert min(sent) > max(sent) / 3


def test_runs_without_due_messages_are_not_leased_from(alice: User, sandbox: Sandbox) -> None:
    waiting = campaign_to(alice, 5)
    campaign_advance(waiting.pk)
    Message.objects.update(due_at=now() + timedelta(hours=1))
    assert run_session(sandbox) == set()


def test_many_opted_out_contacts_take_one_session(alice: User, sandbox: Sandbox) -> None:
    campaign = campaign_to(alice, 500)
    campaign_advance(campaign.pk)
    Contact.objects.filter(pk__gt=Contact.objects.earliest("pk").pk).update(opted_out=True)
    assert run_session(sandbox) == {campaign.runs.get().pk}
    assert statuses(campaign) == {"sent": 1, "cancelled": 499}


def test_released_messages_are_leased_again_in_the_same_session(
    alice: User, sandbox: Sandbox, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.GATEWAY_CONCURRENCY = 2
    sandbox.faults = sandbox.faults.updated({"latency": 0.05})
    monkeypatch.setattr(buffer, "MAX_BUFFERED_SECONDS", 0.01)
    campaign = campaign_to(alice, 12)
    campaign_advance(campaign.pk)
    run_session(sandbox)
    assert statuses(campaign) == {"sent": 12}


def test_the_last_messages_of_a_run_are_leased_once(alice: User, sandbox: Sandbox, settings: Settings) -> None:
    settings.GATEWAY_CONCURRENCY = 2
    sandbox.faults = sandbox.faults.updated({"latency": 0.05})
    campaign = campaign_to(alice, 20)
    campaign_advance(campaign.pk)
    with CaptureQueriesContext(connection) as queries:
        run_session(sandbox)
    assert statuses(campaign) == {"sent": 20}
    leases = [query for query in queries.captured_queries if query["sql"].startswith("WITH payload")]
    assert len(leases) <= 16


def rescue(campaign: Campaign) -> None:
    """Let all leases expire, and run the rescuer."""
    Lease.objects.update(until=now() - timedelta(seconds=1))
    rescuer.rescue(idempotent=lambda _: True)
    assert_counters_match(campaign)


def test_messages_of_a_failed_session_are_not_lost(
    alice: User, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Probe, message_id: int, phone: int, text: str, sender: str) -> Request:
        raise RuntimeError

    campaign = campaign_to(alice, 5)
    campaign_advance(campaign.pk)
    monkeypatch.setattr(Probe, "build", broken)
    with pytest.raises(RuntimeError):
        run_session(sandbox)
    rescue(campaign)
    assert statuses(campaign) == {"pending": 5}


def test_requests_in_flight_after_the_grace_period_are_not_lost(
    alice: User, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "GRACE_SECONDS", 0.0)
    sandbox.faults = sandbox.faults.updated({"latency": 1})
    campaign = campaign_to(alice, 5)
    campaign_advance(campaign.pk)
    run_session(sandbox, seconds=0.3)
    rescue(campaign)
    assert statuses(campaign) == {"pending": 5}


@pytest.mark.django_db(transaction=True)
def test_messages_leased_before_an_error_after_the_commit_are_not_lost(
    alice: User, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        monkeypatch.setattr(db_worker, "lease", lease)
        raise RuntimeError

    def lease_and_break(*args: Any) -> Any:
        with transaction.atomic():
            transaction.on_commit(broken)
            return lease(*args)

    campaign = campaign_to(alice, 5)
    campaign_advance(campaign.pk)
    monkeypatch.setattr(db_worker, "lease", lease_and_break)
    run_session(sandbox, seconds=0.5)
    rescue(campaign)
    assert statuses(campaign) == {"pending": 5}


def test_a_token_with_non_ascii_letters_is_left_for_the_gateway_to_refuse(alice: User, sandbox: Sandbox) -> None:
    campaign = campaign_to(alice, 5)
    campaign_advance(campaign.pk)
    run_session(sandbox, token="токен", seconds=0.5)
    assert Gateway.objects.get().alert == "http_401"
    assert statuses(campaign) == {"pending": 5}


def test_an_answer_that_breaks_the_driver_takes_no_others_with_it(
    alice: User, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parse(driver: Probe, answer: Answer) -> Any:
        raise KeyError(answer.body)

    campaign = campaign_to(alice, 3)
    campaign_advance(campaign.pk)
    monkeypatch.setattr(Probe, "parse", parse)
    run_session(sandbox)
    assert set(Attempt.objects.values_list("reason", "uncertain")) == {("unreadable", True)}
    assert_counters_match(campaign)


def test_secrets_are_hidden_in_the_answers_that_are_kept(
    alice: User, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Probe, "secrets", ("not in service",))
    sandbox.faults = sandbox.faults.updated({"refuse": 1.0})
    send_everything(campaign_to(alice, 1), sandbox)
    assert Attempt.objects.get().answer == '{"code": 3, "message": "The number is •••"}'
