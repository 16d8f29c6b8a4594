"""Campaigns by the clock: starts, joiners, repeats, ends."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, time, timedelta
from typing import Any

import psycopg2
import psycopg2.extensions
import pytest
import time_machine
from django.db import OperationalError, connection, transaction
from django.utils.timezone import now
from django_q.models import OrmQ

from accounts.models import User
from campaigns import lifecycle, services
from campaigns.audience import freeze
from campaigns.lifecycle import ADVANCE, SEND, campaign_advance
from campaigns.models import Attempt, Campaign, Message, Run
from campaigns.states import CampaignStatus, MessageStatus
from directory.audience import Audience
from tests.campaigns.engine import assert_counters_true, hints, statuses
from tests.factories import contact
from tests.stack import wait_for

NOON = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)  # 12:00 in Moscow


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


def make(owner: User, **fields: Any) -> Campaign:
    fields = {"audience": Audience(), "ends_at": NOON + timedelta(days=3), **fields}
    return services.campaign_create(owner=owner, name="Sale", text="Hello", **fields)


def finish_messages(run: Run) -> None:
    """As if the gateway had taken everything."""
    waiting = run.messages.filter(status="pending").update(status="sent")
    run.refresh_from_db()
    Run.objects.filter(pk=run.pk).update(pending=0, sent=run.sent + waiting)


def test_a_start_in_the_future_leaves_a_hint_for_that_very_second(clock: time_machine.Traveller, alice: User) -> None:
    make(alice, starts_at=NOON + timedelta(minutes=1))
    found = OrmQ.objects.order_by("lock", "pk")
    # A sender is there first, to take what the run brings.
    assert [hint.task["func"] for hint in found] == [SEND, ADVANCE]
    assert {hint.lock for hint in found} == {NOON + timedelta(minutes=1)}


def test_a_start_far_in_the_future_is_left_to_the_sweeper(clock: time_machine.Traveller, alice: User) -> None:
    make(alice, starts_at=NOON + timedelta(days=1))
    assert not OrmQ.objects.exists()


def test_nothing_starts_before_its_time(clock: time_machine.Traveller, alice: User) -> None:
    contact(alice)
    campaign = make(alice, starts_at=NOON + timedelta(minutes=1))
    campaign_advance(campaign.pk)
    campaign.refresh_from_db()
    assert campaign.status == CampaignStatus.SCHEDULED
    assert not Run.objects.exists()


def test_a_start_freezes_every_recipient_and_asks_for_a_sender(clock: time_machine.Traveller, alice: User) -> None:
    for _ in range(3):
        contact(alice)
    contact(alice, opted_out=True)
    contact(alice, is_active=False)
    campaign = make(alice)
    campaign_advance(campaign.pk)
    campaign.refresh_from_db()
    assert campaign.status == CampaignStatus.RUNNING
    assert statuses(campaign) == {"pending": 3}
    assert hints(SEND) == 1
    assert_counters_true(campaign)


def test_advancing_again_changes_nothing(clock: time_machine.Traveller, alice: User) -> None:
    contact(alice)
    campaign = make(alice)
    for _ in range(3):
        campaign_advance(campaign.pk)
    assert Run.objects.count() == Message.objects.count() == 1
    assert_counters_true(campaign)


def test_one_who_joins_while_a_run_is_active_is_included(clock: time_machine.Traveller, alice: User) -> None:
    contact(alice, tags=("vip",))
    campaign = make(alice, audience=Audience(tags=("vip",)))
    campaign_advance(campaign.pk)
    clock.shift(timedelta(minutes=30))
    contact(alice, tags=("vip",))
    contact(alice)
    campaign_advance(campaign.pk)
    assert statuses(campaign) == {"pending": 2}
    assert_counters_true(campaign)


def test_one_who_joins_at_the_last_moment_keeps_the_campaign_running(
    clock: time_machine.Traveller, alice: User
) -> None:
    contact(alice)
    campaign = make(alice)
    campaign_advance(campaign.pk)
    finish_messages(campaign.runs.get())
    clock.shift(timedelta(seconds=5))
    contact(alice)
    campaign_advance(campaign.pk)
    campaign.refresh_from_db()
    assert campaign.status == CampaignStatus.RUNNING
    assert statuses(campaign) == {"sent": 1, "pending": 1}
    finish_messages(campaign.runs.get())
    campaign_advance(campaign.pk)
    campaign.refresh_from_db()
    assert campaign.status == CampaignStatus.FINISHED
    assert campaign.finished_at == campaign.runs.get().finished_at == NOON + timedelta(seconds=5)


def test_a_campaign_for_nobody_finishes_at_once(clock: time_machine.Traveller, alice: User) -> None:
    campaign = make(alice, audience=Audience(tags=("nobody",)))
    campaign_advance(campaign.pk)
    campaign.refresh_from_db()
    assert campaign.status == CampaignStatus.FINISHED


def test_the_end_expires_what_never_left_and_doubts_what_may_have(clock: time_machine.Traveller, alice: User) -> None:
    for _ in range(3):
        contact(alice)
    campaign = make(alice, ends_at=NOON + timedelta(hours=1))
    campaign_advance(campaign.pk)
    doubtful, refused, _ = Message.objects.order_by("pk")
    Attempt.objects.create(message=doubtful, at=NOON, reason="timeout", uncertain=True)
    Attempt.objects.create(message=refused, at=NOON, reason="http_503", uncertain=False)
    clock.shift(timedelta(hours=1))
    campaign_advance(campaign.pk)
    campaign.refresh_from_db()
    assert campaign.status == CampaignStatus.FINISHED
    assert statuses(campaign) == {"unknown": 1, "expired": 2}
    assert_counters_true(campaign)


def test_a_campaign_that_nobody_started_in_time_is_finished_empty(clock: time_machine.Traveller, alice: User) -> None:
    contact(alice)
    campaign = make(alice, ends_at=NOON + timedelta(hours=1))
    clock.shift(timedelta(hours=2))
    campaign_advance(campaign.pk)
    campaign.refresh_from_db()
    assert campaign.status == CampaignStatus.FINISHED
    assert not Message.objects.exists()


def test_local_time_begins_where_the_hour_comes_first(clock: time_machine.Traveller, alice: User) -> None:
    alice.timezone = "Europe/Moscow"
    contact(alice, timezone="Asia/Kamchatka")
    contact(alice, timezone="Europe/Kaliningrad")
    tomorrow_ten = datetime(2026, 11, 25, 7, 0, tzinfo=UTC)  # 10:00 in Moscow
    campaign = make(alice, starts_at=tomorrow_ten, local_time=True)
    clock.move_to(datetime(2026, 11, 24, 21, 59, tzinfo=UTC))
    campaign_advance(campaign.pk)
    assert not Run.objects.exists()
    clock.move_to(datetime(2026, 11, 24, 22, 0, tzinfo=UTC))  # 10:00 in Kamchatka
    campaign_advance(campaign.pk)
    due = dict(Message.objects.values_list("contact__timezone", "due_at"))
    assert due == {
        "Asia/Kamchatka": datetime(2026, 11, 24, 22, 0, tzinfo=UTC),
        "Europe/Kaliningrad": datetime(2026, 11, 25, 8, 0, tzinfo=UTC),
    }


def test_an_hour_that_the_campaigns_own_zone_skips_is_kept_where_it_comes(alice: User) -> None:
    contact(alice, timezone="Europe/Moscow")
    half_past_two = datetime(2026, 3, 28, 1, 30, tzinfo=UTC)  # in Berlin, where the next night has none
    with time_machine.travel(datetime(2026, 3, 28, 23, 30, tzinfo=UTC), tick=False):  # in Moscow, 29 March
        campaign = make(
            alice,
            starts_at=half_past_two,
            ends_at=half_past_two + timedelta(days=7),
            repeat="daily",
            local_time=True,
            zone="Europe/Berlin",
        )
        campaign_advance(campaign.pk)
        assert campaign.runs.get().occurrence == half_past_two + timedelta(days=1)
        assert Message.objects.get().due_at == now()


def test_a_window_puts_off_those_for_whom_it_is_night(clock: time_machine.Traveller, alice: User) -> None:
    contact(alice, timezone="Europe/Moscow")
    contact(alice, timezone="Asia/Kamchatka")  # 21:00 there
    campaign = make(alice, window=(time(9), time(21)))
    campaign_advance(campaign.pk)
    due = dict(Message.objects.values_list("contact__timezone", "due_at"))
    assert due["Europe/Moscow"] == NOON
    assert due["Asia/Kamchatka"] == datetime(2026, 11, 24, 21, 0, tzinfo=UTC)


def test_a_daily_campaign_writes_once_a_day_until_its_end(clock: time_machine.Traveller, alice: User) -> None:
    contact(alice)
    campaign = make(alice, repeat="daily", ends_at=NOON + timedelta(days=2, hours=1))
    for day in range(3):
        clock.move_to(NOON + timedelta(days=day))
        campaign_advance(campaign.pk)
        campaign.refresh_from_db()
        assert campaign.status == CampaignStatus.RUNNING
        assert Run.objects.count() == Message.objects.count() == day + 1
        finish_messages(Run.objects.latest("occurrence"))
        campaign_advance(campaign.pk)
    campaign.refresh_from_db()
    assert campaign.status == CampaignStatus.FINISHED
    assert statuses(campaign) == {"sent": 3}


def test_what_a_day_left_over_is_not_sent_the_next_day(clock: time_machine.Traveller, alice: User) -> None:
    contact(alice)
    campaign = make(alice, repeat="daily")
    campaign_advance(campaign.pk)
    clock.shift(timedelta(days=1))
    campaign_advance(campaign.pk)
    assert statuses(campaign) == {"expired": 1, "pending": 1}
    assert_counters_true(campaign)


def test_of_missed_days_only_the_latest_is_made_up_for(clock: time_machine.Traveller, alice: User) -> None:
    contact(alice)
    campaign = make(alice, repeat="daily", ends_at=NOON + timedelta(days=9))
    clock.shift(timedelta(days=4, hours=1))
    campaign_advance(campaign.pk)
    assert Run.objects.get().occurrence == NOON + timedelta(days=4)


def test_a_cancel_gives_up_what_never_left_and_doubts_what_may_have(clock: time_machine.Traveller, alice: User) -> None:
    for _ in range(3):
        contact(alice)
    campaign = make(alice)
    campaign_advance(campaign.pk)
    doubtful, refused, _ = Message.objects.order_by("pk")
    Attempt.objects.create(message=doubtful, at=NOON, reason="reset", uncertain=True)
    Attempt.objects.create(message=refused, at=NOON, reason="http_503", uncertain=False)
    services.campaign_cancel(campaign=campaign, by=alice)
    campaign_advance(campaign.pk)
    assert statuses(campaign) == {"unknown": 1, "cancelled": 2}
    assert campaign.runs.get().finished_at
    assert_counters_true(campaign)


def test_a_paused_campaign_starts_nothing_and_still_ends(clock: time_machine.Traveller, alice: User) -> None:
    contact(alice)
    campaign = make(alice, repeat="daily", ends_at=NOON + timedelta(days=1, hours=1))
    campaign_advance(campaign.pk)
    services.campaign_pause(campaign=campaign, by=alice)
    clock.shift(timedelta(days=1))
    campaign_advance(campaign.pk)
    assert Run.objects.count() == 1
    clock.shift(timedelta(hours=2))
    campaign_advance(campaign.pk)
    campaign.refresh_from_db()
    assert campaign.status == CampaignStatus.FINISHED
    assert statuses(campaign) == {"expired": 1}


def test_a_later_end_counts_for_the_run_that_is_active(clock: time_machine.Traveller, alice: User) -> None:
    contact(alice)
    campaign = make(alice, ends_at=NOON + timedelta(hours=1))
    campaign_advance(campaign.pk)
    services.campaign_update(campaign=campaign, by=alice, ends_at=NOON + timedelta(hours=3))
    clock.shift(timedelta(hours=2))
    campaign_advance(campaign.pk)
    assert statuses(campaign) == {"pending": 1}


def test_a_start_that_was_withdrawn_meanwhile_starts_nothing(clock: time_machine.Traveller, alice: User) -> None:
    contact(alice)
    campaign = make(alice)
    stale = Campaign.objects.get()
    clock.shift(timedelta(seconds=1))
    services.campaign_withdraw(campaign=campaign, by=alice)
    lifecycle._start_run(stale, stale.starts_at, superseded=None)
    assert not Run.objects.exists()
    assert Campaign.objects.get().status == CampaignStatus.DRAFT


def test_a_campaign_that_another_worker_has_finished_meanwhile_stays_so(
    clock: time_machine.Traveller, alice: User
) -> None:
    campaign = make(alice, audience=Audience(tags=("nobody",)))
    stale = Campaign.objects.get(pk=campaign.pk)
    campaign_advance(campaign.pk)
    clock.shift(timedelta(seconds=5))
    lifecycle._go_on(stale)
    campaign.refresh_from_db()
    assert (campaign.status, campaign.finished_at) == (CampaignStatus.FINISHED, NOON)


def test_a_campaign_whose_end_was_put_off_meanwhile_does_not_finish(clock: time_machine.Traveller, alice: User) -> None:
    contact(alice)
    campaign = make(alice, ends_at=NOON + timedelta(hours=1))
    campaign_advance(campaign.pk)
    stale = Campaign.objects.get()
    clock.shift(timedelta(minutes=59))
    services.campaign_update(campaign=stale, by=alice, ends_at=NOON + timedelta(hours=5))
    clock.shift(timedelta(minutes=2))
    lifecycle._tend(Run.objects.select_related("campaign").get())
    run = Run.objects.get()
    run.campaign = stale
    lifecycle._settle(run, MessageStatus.EXPIRED)
    assert not lifecycle._finish(stale, None)
    assert statuses(campaign) == {"pending": 1}


class TestOneBadThing:
    """It is logged and kept as a failure, and stops nothing else."""

    def test_contacts_of_a_removed_zone_keep_nobody_else_waiting(
        self, clock: time_machine.Traveller, alice: User, caplog: pytest.LogCaptureFixture
    ) -> None:
        contact(alice, timezone="Europe/Moscow")
        contact(alice, timezone="Mars/Base")
        campaign = make(alice, window=(time(9), time(21)), local_time=True)
        campaign_advance(campaign.pk)
        assert list(Message.objects.values_list("contact__timezone", flat=True)) == ["Europe/Moscow"]
        assert_counters_true(campaign)
        assert f"'campaign': {campaign.pk}" in caplog.text
        assert "Mars/Base" in caplog.text

    def test_where_the_hour_does_not_matter_they_are_written_to(
        self, clock: time_machine.Traveller, alice: User
    ) -> None:
        contact(alice, timezone="Mars/Base")
        campaign = make(alice)
        campaign_advance(campaign.pk)
        assert statuses(campaign) == {"pending": 1}

    def test_a_campaign_of_a_removed_zone_goes_on_with_its_run_and_ends(
        self, clock: time_machine.Traveller, alice: User, caplog: pytest.LogCaptureFixture
    ) -> None:
        contact(alice)
        campaign = make(alice, repeat="daily", ends_at=NOON + timedelta(hours=30))
        campaign_advance(campaign.pk)
        Campaign.objects.filter(pk=campaign.pk).update(timezone="Mars/Base")
        finish_messages(campaign.runs.get())
        for moment, status in ((NOON + timedelta(hours=1), "running"), (NOON + timedelta(hours=30), "finished")):
            clock.move_to(moment)
            with pytest.raises(ExceptionGroup):
                campaign_advance(campaign.pk)
            campaign.refresh_from_db()
            assert campaign.status == status
            assert campaign.runs.get().finished_at == NOON + timedelta(hours=1)
        assert f"'campaign': {campaign.pk}" in caplog.text

    def test_a_run_that_can_not_be_frozen_does_not_stop_the_others(
        self, clock: time_machine.Traveller, alice: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        campaign = make(alice, audience=Audience(tags=("late",)), starts_at=NOON - timedelta(days=1), repeat="daily")
        for days in (1, 0):
            Run.objects.create(campaign=campaign, occurrence=NOON - timedelta(days=days))
        first, second = Run.objects.order_by("pk")
        contact(alice, tags=("late",))
        monkeypatch.setattr(lifecycle, "freeze", lambda run: freeze(run) if run == second else 1 // 0)
        with pytest.raises(ExceptionGroup):
            campaign_advance(campaign.pk)
        assert (first.messages.count(), second.messages.count()) == (0, 1)

    @pytest.mark.parametrize(("error", "hinted"), [(OperationalError("database is locked"), 1), (ValueError(), 0)])
    def test_where_another_transaction_was_in_the_way_it_is_looked_at_again(
        self, clock: time_machine.Traveller, alice: User, monkeypatch: pytest.MonkeyPatch, error: Exception, hinted: int
    ) -> None:
        def failing(run: Run) -> int:
            raise error

        campaign = make(alice)
        OrmQ.objects.all().delete()
        monkeypatch.setattr(lifecycle, "freeze", failing)
        with pytest.raises(ExceptionGroup):
            campaign_advance(campaign.pk)
        soon = OrmQ.objects.filter(lock=NOON + timedelta(seconds=1))
        assert [hint.task["func"] for hint in soon] == [ADVANCE] * hinted


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time")
class TestAlone:
    """Of several workers that are asked to look at a campaign, one does."""

    @pytest.fixture
    def other(self, clock: time_machine.Traveller, alice: User) -> Iterator[psycopg2.extensions.connection]:
        """The connection of a worker that advances one of two campaigns, and is in the middle of a long freeze."""
        make(alice)
        services.campaign_create(
            owner=alice, name="Other", text="Other", audience=Audience(), ends_at=NOON + timedelta(days=1)
        )
        OrmQ.objects.all().delete()
        other = psycopg2.connect(**connection.get_connection_params())
        with other.cursor() as cursor:
            key = f"campaign {Campaign.objects.get(name='Sale').pk}"
            cursor.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [key])
        yield other
        other.close()

    def test_a_second_one_leaves_at_once_and_has_it_looked_at_again(
        self, other: psycopg2.extensions.connection
    ) -> None:
        campaign = Campaign.objects.get(name="Sale")
        campaign_advance(campaign.pk)
        assert not Run.objects.exists()
        hint = OrmQ.objects.get()
        assert (hint.task["args"], hint.lock) == ((campaign.pk,), NOON + timedelta(seconds=1))

    def test_the_dead_keep_nobody_waiting(self, other: psycopg2.extensions.connection) -> None:
        campaign = Campaign.objects.get(name="Sale")
        other.close()

        def begun() -> bool:
            campaign_advance(campaign.pk)
            return Run.objects.exists()

        wait_for(begun, "the lock of the dead")

    def test_another_campaign_is_not_kept_waiting(self, other: psycopg2.extensions.connection) -> None:
        campaign_advance(Campaign.objects.get(name="Other").pk)
        assert Run.objects.exists()

    def test_who_is_done_leaves_no_lock(self, other: psycopg2.extensions.connection) -> None:
        campaign_advance(Campaign.objects.get(name="Other").pk)
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
            assert cursor.fetchone() == (0,)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time")
@pytest.mark.django_db(transaction=True)
def test_who_counts_twice_does_not_wait_for_who_holds_the_campaign(alice: User) -> None:
    """The other one waits for the run that is being counted in, so that both would wait for ever."""
    contact(alice)
    campaign = make(alice, ends_at=now() + timedelta(days=1))
    campaign_advance(campaign.pk)

    def count_twice(campaign: Campaign) -> None:
        other = psycopg2.connect(**connection.get_connection_params())
        with closing(other), other, other.cursor() as cursor:
            cursor.execute("SET lock_timeout = '1s'")
            for difference in (1, -1):
                cursor.execute("UPDATE campaigns_run SET pending = pending + %s", [difference])

    with transaction.atomic():
        assert Campaign.objects.get().hold()
        count_twice(campaign)
    services._change(campaign, alice, count_twice)
