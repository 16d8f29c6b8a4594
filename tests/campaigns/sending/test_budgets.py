"""Costs of messages, and budgets that stop sending in time."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection

from accounts.models import User
from campaigns import services
from campaigns.gateways.drivers.probe import Probe
from campaigns.gateways.protocol import Answer, Callback, Outcome, Verdict
from campaigns.gateways.registry import route_of
from campaigns.messages import unresolved
from campaigns.messages.receipts import apply_receipts, receipts_store
from campaigns.models import Campaign, Message, Price, Run, RunCost, WaitingReceipt
from campaigns.sandbox.server import Sandbox
from campaigns.sending.budgets import left
from campaigns.sending.lease import lease
from campaigns.sending.outcomes import Completed, record, release
from campaigns.states import CampaignStatus, MessageStatus, Resolution
from project.core.clock import now
from project.http.errors import Conflict
from tests import factories
from tests.campaigns.engine import assert_costs_match, run_session, send_everything, statuses
from tests.campaigns.outcomes import settle, started
from tests.conftest import ApiClient

PRICE = Decimal("2.5")
MICROS = 2_500_000


@pytest.fixture(autouse=True)
def _price(db: None) -> None:
    Price.objects.create(gateway="probe", area="RU", price=PRICE, valid_from=now().date() - timedelta(days=1))


def budgeted(owner: User, contacts: int, budget: str | None) -> tuple[Campaign, Run]:
    return started(owner, contacts=contacts, text="Two parts " + "x" * 160, budget=budget and Decimal(budget))


def test_every_accepted_message_costs_its_parts(alice: User, sandbox: Sandbox) -> None:
    campaign, run = budgeted(alice, 4, None)
    send_everything(campaign, sandbox)
    run.refresh_from_db()
    assert (run.cost, run.reserved_cost) == (4 * 2 * MICROS, 0)
    row = RunCost.objects.get()
    assert (row.gateway, row.country, row.messages, row.parts, row.cost) == ("probe", "RU", 4, 8, run.cost)
    assert_costs_match(run)


def test_numbers_without_a_price_cost_nothing_known(alice: User, sandbox: Sandbox) -> None:
    factories.contact(alice, phone=77010001234)
    campaign, run = budgeted(alice, 1, "5")
    send_everything(campaign, sandbox)
    run.refresh_from_db()
    assert (run.sent, run.cost) == (2, 2 * MICROS)
    assert Message.objects.get(phone=77010001234).cost is None


def test_refused_messages_cost_nothing_and_uncertain_ones_count(
    alice: User, sandbox: Sandbox, fast_retries: None
) -> None:
    sandbox.faults = sandbox.faults.updated({"refuse": 1})
    campaign, run = budgeted(alice, 2, None)
    send_everything(campaign, sandbox)
    run.refresh_from_db()
    assert (run.failed, run.cost, run.reserved_cost) == (2, 0, 0)


def test_a_resolved_message_takes_its_cost_back(alice: User) -> None:
    _, run = budgeted(alice, 3, None)
    settle(run, 3, MessageStatus.UNKNOWN)
    Message.objects.update(cost=MICROS, gateway="probe")
    Run.objects.update(cost=3 * MICROS)
    RunCost.objects.create(
        run=run, hour=now().replace(minute=0, second=0, microsecond=0), gateway="probe", country="RU",
        messages=3, parts=3, cost=3 * MICROS,
    )  # fmt: skip
    for message, resolution in zip(run.messages.all(), ("failed", "sent", "retry"), strict=True):
        unresolved.apply(run, [message], Resolution(resolution))
    run.refresh_from_db()
    assert run.cost == MICROS
    assert_costs_match(run)


def test_a_lease_reserves_and_a_release_returns(alice: User) -> None:
    _, run = budgeted(alice, 3, "100")
    token = uuid.uuid4()
    messages = lease({run.pk: 2}, token, route_of("probe"))
    run.refresh_from_db()
    assert run.reserved_cost == sum(message.cost or 0 for message in messages) == 4 * MICROS
    assert_costs_match(run)
    release(token, messages)
    run.refresh_from_db()
    assert run.reserved_cost == 0


@pytest.mark.parametrize(("budget", "sent"), [("14.99", 2), ("15", 3), ("15.01", 3), ("0", 0)])
def test_sending_pauses_before_the_budget_would_be_exceeded(
    alice: User, sandbox: Sandbox, budget: str, sent: int
) -> None:
    campaign, run = budgeted(alice, 5, budget)
    send_everything(campaign, sandbox)
    campaign.refresh_from_db()
    assert campaign.status == CampaignStatus.PAUSED
    assert campaign.budget_reached_at
    assert statuses(campaign) == {"pending": 5 - sent} | ({"sent": sent} if sent else {})
    run.refresh_from_db()
    assert_costs_match(run)


def test_a_budget_that_suffices_pauses_nothing(alice: User, sandbox: Sandbox) -> None:
    campaign, _ = budgeted(alice, 3, "15")
    send_everything(campaign, sandbox)
    assert (campaign.status, campaign.budget_reached_at) == (CampaignStatus.FINISHED, None)


def test_many_workers_reserve_no_more_than_the_budget(alice: User) -> None:
    campaign, run = budgeted(alice, 10, "32")
    held = [lease({run.pk: 4}, uuid.uuid4(), route_of("probe")) for _ in range(4)]
    assert sum(map(len, held)) == 6
    campaign.refresh_from_db()
    # What is being sent may still turn out to cost nothing.
    assert campaign.status == CampaignStatus.RUNNING


def test_a_larger_budget_continues_a_campaign(alice: User, sandbox: Sandbox) -> None:
    campaign, _ = budgeted(alice, 5, "5")
    send_everything(campaign, sandbox)
    with pytest.raises(Conflict, match="budget is used up"):
        services.campaign_resume(campaign=campaign, by=alice)
    campaign = services.campaign_resume(campaign=campaign, by=alice, budget=Decimal(25))
    assert campaign.budget_reached_at is None
    send_everything(campaign, sandbox)
    assert statuses(campaign) == {"sent": 5}


def test_a_monthly_budget_holds_over_all_campaigns_of_a_user(alice: User, bob: User, sandbox: Sandbox) -> None:
    alice.monthly_budget = Decimal(20)
    alice.save()
    first, _ = budgeted(alice, 3, None)
    second = factories.campaign(alice, text="One part")
    other = factories.campaign(bob, text="Of another user")
    for campaign in (first, second, other):
        send_everything(campaign, sandbox)
        campaign.refresh_from_db()
    assert [each.status for each in (first, second, other)] == ["finished", "paused", "finished"]
    assert Message.objects.filter(run__campaign=second, status="sent").count() == 2
    assert left(second).month == 0
    with pytest.raises(Conflict, match="month"):
        services.campaign_resume(campaign=second, by=alice)


def test_last_month_does_not_count(alice: User, sandbox: Sandbox) -> None:
    alice.monthly_budget = Decimal(5)
    alice.save()
    campaign, run = budgeted(alice, 1, None)
    RunCost.objects.create(
        run=run, hour=now() - timedelta(days=32), gateway="probe", country="RU", messages=1, parts=1, cost=9 * MICROS
    )
    run_session(sandbox)
    assert statuses(campaign) == {"sent": 1}


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")
@pytest.mark.django_db(transaction=True)
def test_four_workers_spend_a_budget_to_the_last_message(alice: User) -> None:
    campaign, run = budgeted(alice, 120, "400")

    def work() -> None:
        try:
            while Campaign.objects.get(pk=campaign.pk).status == CampaignStatus.RUNNING:
                token = uuid.uuid4()
                batch = [
                    Completed(message, Answer(200), Outcome(Verdict.SENT))
                    for message in lease({run.pk: 7}, token, route_of("probe"))
                ]
                if batch:
                    record(token, batch, gateway="probe", idempotent=True)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work) for _ in range(4)]:
            done.result(60)
    run.refresh_from_db()
    assert (run.cost, run.reserved_cost, run.sent, run.pending) == (400 * 10**6, 0, 80, 40)
    assert_costs_match(run)


def test_the_api_shows_what_a_message_cost(alice: User, sandbox: Sandbox) -> None:
    campaign, _ = budgeted(alice, 2, "5")
    send_everything(campaign, sandbox)
    client = ApiClient(alice)
    costs = {
        row["status"]: client.get(f"/messages/{row['id']}").json()["cost"]
        for row in client.get(f"/campaigns/{campaign.pk}/messages").json()["items"]
    }
    assert costs == {"sent": "5.00", "pending": None}
    figures = client.get(f"/campaigns/{campaign.pk}/stats").json()
    assert (figures["cost"], figures["currency"], figures["runs"][0]["cost"]) == ("5.00", "RUB", "5.00")
    shown = client.get(f"/campaigns/{campaign.pk}").json()
    assert (shown["budget"], shown["status"]) == ("5.00", "paused")
    assert shown["budget_reached_at"]


@pytest.mark.parametrize(
    ("reported", "cost"),
    [('"2.75"', 2_750_000), ("0", 0), ("1.1", 1_100_000), ('"free"', MICROS), ("-1", MICROS), ("true", MICROS)],
)
def test_a_price_in_the_answer_replaces_that_of_the_tariff(alice: User, reported: str, cost: int) -> None:
    _, run = started(alice, contacts=1, text="One part")
    token = uuid.uuid4()
    [message] = lease({run.pk: 1}, token, route_of("probe"))
    answer = Answer(200, f'{{"code": 0, "price": {reported}}}'.encode())
    record(token, [Completed(message, answer, Probe("", "").parse(answer))], gateway="probe", idempotent=True)
    run.refresh_from_db()
    assert (run.cost, run.reserved_cost, Message.objects.get().cost) == (cost, 0, cost)
    assert_costs_match(run)


@pytest.mark.parametrize(("known", "price"), [(True, '"1.25"'), (False, "1.25")])
def test_a_price_in_the_receipt_replaces_that_of_the_tariff(
    alice: User, sandbox: Sandbox, *, known: bool, price: str
) -> None:
    if not known:
        Price.objects.all().delete()
    campaign, run = started(alice, contacts=2, text="One part")
    send_everything(campaign, sandbox)
    first = Message.objects.earliest("pk")
    body = f'{{"id": {first.pk}, "status": "delivered", "price": {price}}}'.encode()
    receipts_store("probe", Probe("", "").parse_receipts(Callback({}, body)))
    WaitingReceipt.objects.update(due_at=now())
    apply_receipts()
    run.refresh_from_db()
    assert run.cost == 1_250_000 + (MICROS if known else 0)
    assert run.delivered == 1
    assert_costs_match(run)
