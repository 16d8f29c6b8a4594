from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from campaigns.counters import count, moved
from campaigns.models import Campaign, Message, Run, RunMinute
from campaigns.models import run as run_models
from campaigns.planning.recipients import freeze
from campaigns.states import MessageStatus
from campaigns.statistics import campaign_statistics
from tests import factories
from tests.campaigns.outcomes import count_minute

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture(autouse=True)
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


@pytest.fixture
def campaign(alice: User) -> Campaign:
    """A campaign that runs until 18:00."""
    campaign = factories.campaign(alice, ends_at=NOON + 6 * HOUR)
    Campaign.objects.filter(pk=campaign.pk).update(status="running")
    campaign.refresh_from_db()
    return campaign


def run_of(campaign: Campaign, **counters: Any) -> Run:
    number = campaign.runs.count()
    return Run.objects.create(campaign=campaign, occurrence=NOON + number * MINUTE, **counters)


def test_before_the_first_run_all_figures_are_zero(campaign: Campaign) -> None:
    found = campaign_statistics(campaign)
    assert (found.total, found.attempts, found.parts, found.retrying, found.rate) == (0, 0, 0, 0, 0)
    assert found.by_status == dict.fromkeys(MessageStatus.values, 0)
    assert (found.started_at, found.finished_at, found.eta, found.runs) == (None, None, None, [])


def test_runs_are_added_up_and_listed_newest_first(campaign: Campaign) -> None:
    first = run_of(campaign, sent=5, failed=1, attempts=9, parts=7, finished_at=NOON)
    second = run_of(campaign, pending=4, sending=2, sent=3, attempts=3, parts=3)
    found = campaign_statistics(campaign)
    assert (found.total, found.done) == (15, 9)
    assert {status: number for status, number in found.by_status.items() if number} == {
        "pending": 4,
        "sending": 2,
        "sent": 8,
        "failed": 1,
    }
    assert sum(found.by_status.values()) == found.total
    assert (found.attempts, found.parts) == (12, 10)
    assert found.runs == [second, first]
    assert found.started_at == first.started_at


def test_retrying_messages_are_counted_separately(alice: User, campaign: Campaign) -> None:
    for _ in range(3):
        factories.contact(alice)
    run = run_of(campaign)
    freeze(run)
    tried, failed, _fresh = run.messages.order_by("pk")
    Message.objects.filter(pk=tried.pk).update(attempts=2, due_at=NOON + MINUTE)
    Message.objects.filter(pk=failed.pk).update(attempts=8, status="failed")
    count({run.pk: moved(MessageStatus.PENDING, MessageStatus.FAILED, 1)})
    found = campaign_statistics(campaign)
    assert (found.retrying, found.retry_at) == (1, NOON + MINUTE)
    assert found.by_status["pending"] == 2


class TestRate:
    def test_the_rate_is_that_of_the_last_minute_or_two(
        self, campaign: Campaign, clock: time_machine.Traveller
    ) -> None:
        run = run_of(campaign, pending=900)
        clock.shift(3 * MINUTE + 30 * SECOND)
        for minute, sent in enumerate((5000, 4000, 150, 120)):
            count_minute(run.pk, NOON + minute * MINUTE + SECOND, sent=sent, failed=0, retried=7)
        found = campaign_statistics(campaign)
        assert found.rate == 3.0
        assert found.eta == NOON + 8 * MINUTE + 30 * SECOND

    def test_the_rate_begins_with_the_campaign(self, campaign: Campaign, clock: time_machine.Traveller) -> None:
        run = run_of(campaign, pending=100)
        clock.shift(10)
        count_minute(run.pk, NOON, sent=90, failed=10, retried=0)
        found = campaign_statistics(campaign)
        assert (found.rate, found.eta) == (10.0, NOON + 20 * SECOND)

    def test_the_eta_is_never_after_the_end(self, campaign: Campaign, clock: time_machine.Traveller) -> None:
        run = run_of(campaign, pending=1_000_000)
        clock.shift(10)
        count_minute(run.pk, NOON, sent=1, failed=0, retried=0)
        assert campaign_statistics(campaign).eta == campaign.ends_at

    @pytest.mark.parametrize(("status", "pending"), [("paused", 5), ("finished", 0), ("cancelled", 0), ("running", 0)])
    def test_without_remaining_messages_there_is_no_eta(
        self, campaign: Campaign, clock: time_machine.Traveller, status: str, pending: int
    ) -> None:
        count_minute(run_of(campaign, pending=pending).pk, NOON, sent=100, failed=0, retried=0)
        clock.shift(10)
        campaign.status = status
        assert campaign_statistics(campaign).eta is None

    def test_old_activity_gives_no_rate(self, campaign: Campaign, clock: time_machine.Traveller) -> None:
        count_minute(run_of(campaign, pending=5).pk, NOON, sent=100, failed=0, retried=0)
        clock.shift(HOUR)
        found = campaign_statistics(campaign)
        assert (found.rate, found.eta) == (0, None)


def test_all_workers_add_to_one_row_per_minute(campaign: Campaign) -> None:
    run = run_of(campaign)
    for second in (0, 30, 59):
        count_minute(run.pk, NOON + second * SECOND, sent=3, failed=2, retried=1)
    count_minute(run.pk, NOON + MINUTE, sent=1, failed=0, retried=0)
    rows = RunMinute.objects.order_by("minute").values_list("minute", "sent", "failed", "retried")
    assert list(rows) == [(NOON, 9, 6, 3), (NOON + MINUTE, 1, 0, 0)]


def test_the_number_of_queries_is_constant(alice: User, campaign: Campaign) -> None:
    counts = []
    for number in (1, 10):
        for _ in range(number):
            factories.contact(alice)
            freeze(run_of(campaign))
        with CaptureQueriesContext(connection) as queries:
            campaign_statistics(campaign)
        counts.append(len(queries))
    assert counts[0] == counts[1] == 1


def test_retrying_messages_are_counted_up_to_a_limit(
    alice: User, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_models, "MAX_COUNTED", 2)
    for _ in range(3):
        factories.contact(alice)
    freeze(run_of(campaign))
    Message.objects.update(attempts=1)
    assert campaign_statistics(campaign).retrying == 2
