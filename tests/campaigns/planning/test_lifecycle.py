"""The life cycle of campaigns: starts, joiners, repeats, ends."""

from collections.abc import Iterator
from contextlib import closing, nullcontext
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import uuid4

import psycopg2
import psycopg2.extensions
import pytest
import time_machine
from django.db import OperationalError, connection, transaction
from django.utils.timezone import now
from django_q.models import OrmQ

from accounts.models import User
from campaigns import services
from campaigns.gateways.routing import Route
from campaigns.models import Attempt, Campaign, Message, Run
from campaigns.planning import lifecycle
from campaigns.planning.lifecycle import SEND, advance, campaign_advance
from campaigns.planning.recipients import freeze
from campaigns.sending.lease import lease
from campaigns.states import CampaignStatus, MessageStatus
from directory.audiences.audience import Audience
from directory.models import Contact
from tests.campaigns.engine import assert_counters_match, hints, statuses
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
    """Mark all messages as sent."""
    waiting = run.messages.filter(status="pending").update(status="sent")
    run.refresh_from_db()
    Run.objects.filter(pk=run.pk).update(pending=0, sent=run.sent + waiting)


def test_a_future_start_leaves_a_hint_for_that_second(clock: time_machine.Traveller, alice: User) -> None:
    make(alice, starts_at=NOON + timedelta(minutes=1))
    found = OrmQ.objects.order_by("lock", "pk")
    # The sender's hint comes first, so that a sender is ready when the run begins.
    assert [hint.task["func"] for hint in found] == [SEND, advance.name]
    assert {hint.lock for hint in found} == {NOON + timedelta(minutes=1)}


def test_a_start_far_in_the_future_is_left_to_the_sweep(clock: time_machine.Traveller, alice: User) -> None:
    make(alice, starts_at=NOON + timedelta(days=1))
    assert not OrmQ.objects.exists()


def test_nothing_starts_before_its_time(clock: time_machine.Traveller, alice: User) -> None:
    contact(alice)
    campaign = make(alice, starts_at=NOON + timedelta(minutes=1))
    campaign_advance(campaign.pk)
    campaign.refresh_from_db()
    assert campaign.status == CampaignStatus.SCHEDULED
    assert not Run.objects.exists()


def test_a_start_freezes_all_recipients_and_hints_a_sender(clock: time_machine.Traveller, alice: User) -> None:
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
    assert_counters_match(campaign)


def test_advancing_again_changes_nothing(clock: time_machine.Traveller, alice: User) -> None:
    contact(alice)
    campaign = make(alice)
    for _ in range(3):
        campaign_advance(campaign.pk)
    assert Run.objects.count() == Message.objects.count() == 1
    assert_counters_match(campaign)


def test_a_contact_who_joins_an_active_run_is_included(clock: time_machine.Traveller, alice: User) -> None:
    contact(alice, tags=("vip",))
    campaign = make(alice, audience=Audience(tags=("vip",)))
    campaign_advance(campaign.pk)
    clock.shift(timedelta(minutes=30))
    contact(alice, tags=("vip",))
    contact(alice)
    campaign_advance(campaign.pk)
    assert statuses(campaign) == {"pending": 2}
    assert_counters_match(campaign)


def test_a_contact_who_joins_late_keeps_the_campaign_running(clock: time_machine.Traveller, alice: User) -> None:
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


def test_a_campaign_without_recipients_finishes_at_once(clock: time_machine.Traveller, alice: User) -> None:
    campaign = make(alice, audience=Audience(tags=("nobody",)))
    campaign_advance(campaign.pk)
    campaign.refresh_from_db()
    assert campaign.status == CampaignStatus.FINISHED


def test_the_end_expires_unsent_messages_and_makes_uncertain_ones_unknown(
    clock: time_machine.Traveller, alice: User
) -> None:
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
    assert_counters_match(campaign)


@pytest.mark.parametrize("fields", [{}, {"repeat": "daily"}, {"local_time": True}])
def test_recipients_of_a_campaign_that_missed_its_time_are_expired(
    clock: time_machine.Traveller, alice: User, fields: dict[str, Any]
) -> None:
    contact(alice)
    contact(alice, opted_out=True)
    campaign = make(alice, ends_at=NOON + timedelta(days=1, hours=1), **fields)
    clock.shift(timedelta(days=3))
    campaign_advance(campaign.pk)
    campaign.refresh_from_db()
    assert campaign.status == CampaignStatus.FINISHED
    assert statuses(campaign) == {"expired": 1}
    assert_counters_match(campaign)


def test_a_contact_that_matches_again_gets_its_message_once(clock: time_machine.Traveller, alice: User) -> None:
    person, _other = contact(alice), contact(alice)
    campaign = make(alice, ends_at=NOON + timedelta(hours=1))
    campaign_advance(campaign.pk)
    Contact.objects.filter(pk=person.pk).update(opted_out=True, updated_at=NOON)
    lease({Run.objects.get().pk: 2}, uuid4(), Route("probe"))
    clock.shift(timedelta(minutes=10))
    campaign_advance(campaign.pk)
    assert statuses(campaign) == {"cancelled": 1, "sending": 1}
    Contact.objects.filter(pk=person.pk).update(opted_out=False, updated_at=now())
    for _ in range(2):
        campaign_advance(campaign.pk)
    assert statuses(campaign) == {"pending": 1, "sending": 1}
    message = Message.objects.get(contact=person)
    assert (message.reason, message.due_at) == ("", now())
    assert_counters_match(campaign)


def test_an_audience_that_widens_again_restores_its_messages(clock: time_machine.Traveller, alice: User) -> None:
    contact(alice, tags=("vip",))
    contact(alice)
    campaign = make(alice, ends_at=NOON + timedelta(hours=1))
    campaign_advance(campaign.pk)
    services.campaign_pause(campaign=campaign, by=alice)
    services.campaign_update(campaign=campaign, by=alice, audience=Audience(tags=("vip",)))
    services.campaign_resume(campaign=campaign, by=alice)
    lease({Run.objects.get().pk: 2}, uuid4(), Route("probe"))
    assert statuses(campaign) == {"cancelled": 1, "sending": 1}
    services.campaign_pause(campaign=campaign, by=alice)
    services.campaign_update(campaign=campaign, by=alice, audience=Audience())
    services.campaign_resume(campaign=campaign, by=alice)
    campaign_advance(campaign.pk)
    assert statuses(campaign) == {"pending": 1, "sending": 1}
    assert_counters_match(campaign)


def test_a_message_follows_a_corrected_time_zone(clock: time_machine.Traveller, alice: User) -> None:
    alice.timezone = "Europe/Moscow"
    people = [contact(alice, timezone=zone) for zone in ("Europe/Moscow", "Asia/Kamchatka", "Asia/Kamchatka")]
    start = datetime(2026, 11, 25, 7, 0, tzinfo=UTC)  # 10:00 in Moscow
    campaign = make(alice, starts_at=start, local_time=True)
    clock.move_to(datetime(2026, 11, 24, 22, 0, tzinfo=UTC))  # 10:00 in Kamchatka
    campaign_advance(campaign.pk)
    moves = zip(people, ("Asia/Omsk", "Europe/Moscow", "Asia/Kamchatka"), strict=True)
    for person, zone in moves:
        Contact.objects.filter(pk=person.pk).update(timezone=zone, updated_at=now())
    clock.shift(timedelta(minutes=1))
    campaign_advance(campaign.pk)
    due = [message.due_at for message in Message.objects.order_by("contact")]
    assert due == [start - timedelta(hours=3), start, datetime(2026, 11, 24, 22, 0, tzinfo=UTC)]


def test_local_time_begins_in_the_easternmost_zone(clock: time_machine.Traveller, alice: User) -> None:
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


def test_an_hour_skipped_in_the_campaigns_zone_is_kept_in_other_zones(alice: User) -> None:
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


def test_a_window_postpones_contacts_where_it_is_night(clock: time_machine.Traveller, alice: User) -> None:
    contact(alice, timezone="Europe/Moscow")
    contact(alice, timezone="Asia/Kamchatka")  # 21:00 there
    campaign = make(alice, window=(time(9), time(21)))
    campaign_advance(campaign.pk)
    due = dict(Message.objects.values_list("contact__timezone", "due_at"))
    assert due["Europe/Moscow"] == NOON
    assert due["Asia/Kamchatka"] == datetime(2026, 11, 24, 21, 0, tzinfo=UTC)


def test_a_daily_campaign_sends_once_a_day_until_its_end(clock: time_machine.Traveller, alice: User) -> None:
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


def test_messages_left_over_from_a_day_are_not_sent_the_next_day(clock: time_machine.Traveller, alice: User) -> None:
    contact(alice)
    campaign = make(alice, repeat="daily")
    campaign_advance(campaign.pk)
    clock.shift(timedelta(days=1))
    campaign_advance(campaign.pk)
    assert statuses(campaign) == {"expired": 1, "pending": 1}
    assert_counters_match(campaign)


def test_only_the_latest_of_missed_days_is_run(clock: time_machine.Traveller, alice: User) -> None:
    contact(alice)
    campaign = make(alice, repeat="daily", ends_at=NOON + timedelta(days=9))
    clock.shift(timedelta(days=4, hours=1))
    campaign_advance(campaign.pk)
    assert Run.objects.get().occurrence == NOON + timedelta(days=4)


def test_a_cancel_cancels_unsent_messages_and_makes_uncertain_ones_unknown(
    clock: time_machine.Traveller, alice: User
) -> None:
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
    assert_counters_match(campaign)


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


def test_a_later_end_applies_to_the_active_run(clock: time_machine.Traveller, alice: User) -> None:
    contact(alice)
    campaign = make(alice, ends_at=NOON + timedelta(hours=1))
    campaign_advance(campaign.pk)
    services.campaign_update(campaign=campaign, by=alice, ends_at=NOON + timedelta(hours=3))
    clock.shift(timedelta(hours=2))
    campaign_advance(campaign.pk)
    assert statuses(campaign) == {"pending": 1}


def test_a_start_withdrawn_meanwhile_starts_nothing(clock: time_machine.Traveller, alice: User) -> None:
    contact(alice)
    campaign = make(alice)
    stale = Campaign.objects.get()
    clock.shift(timedelta(seconds=1))
    services.campaign_withdraw(campaign=campaign, by=alice)
    lifecycle._start_run(stale, stale.starts_at, superseded=None)
    assert not Run.objects.exists()
    assert Campaign.objects.get().status == CampaignStatus.DRAFT


def test_a_campaign_finished_by_another_worker_stays_finished(clock: time_machine.Traveller, alice: User) -> None:
    campaign = make(alice, audience=Audience(tags=("nobody",)))
    stale = Campaign.objects.get(pk=campaign.pk)
    campaign_advance(campaign.pk)
    clock.shift(timedelta(seconds=5))
    lifecycle._advance_unfinished(stale)
    campaign.refresh_from_db()
    assert (campaign.status, campaign.finished_at) == (CampaignStatus.FINISHED, NOON)


def test_a_campaign_whose_end_was_postponed_meanwhile_does_not_finish(
    clock: time_machine.Traveller, alice: User
) -> None:
    contact(alice)
    campaign = make(alice, ends_at=NOON + timedelta(hours=1))
    campaign_advance(campaign.pk)
    stale = Campaign.objects.get()
    clock.shift(timedelta(minutes=59))
    services.campaign_update(campaign=stale, by=alice, ends_at=NOON + timedelta(hours=5))
    clock.shift(timedelta(minutes=2))
    lifecycle._advance_run(Run.objects.select_related("campaign").get())
    run = Run.objects.get()
    run.campaign = stale
    lifecycle._settle_all(run, MessageStatus.EXPIRED)
    assert not lifecycle._finish(stale, None)
    assert statuses(campaign) == {"pending": 1}


class TestFailingStep:
    """An error is logged and raised at the end, and stops nothing else."""

    def test_contacts_in_a_removed_zone_do_not_delay_others(
        self, clock: time_machine.Traveller, alice: User, caplog: pytest.LogCaptureFixture
    ) -> None:
        contact(alice, timezone="Europe/Moscow")
        contact(alice, timezone="Mars/Base")
        campaign = make(alice, window=(time(9), time(21)), local_time=True)
        campaign_advance(campaign.pk)
        assert list(Message.objects.values_list("contact__timezone", flat=True)) == ["Europe/Moscow"]
        assert_counters_match(campaign)
        assert f"'campaign': {campaign.pk}" in caplog.text
        assert "Mars/Base" in caplog.text

    def test_contacts_in_a_removed_zone_get_messages_if_local_time_does_not_matter(
        self, clock: time_machine.Traveller, alice: User
    ) -> None:
        contact(alice, timezone="Mars/Base")
        campaign = make(alice)
        campaign_advance(campaign.pk)
        assert statuses(campaign) == {"pending": 1}

    def test_a_campaign_in_a_removed_zone_completes_its_run(
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

    def test_a_run_that_cannot_be_frozen_does_not_stop_the_others(
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
    def test_a_conflict_with_another_transaction_is_retried(
        self, clock: time_machine.Traveller, alice: User, monkeypatch: pytest.MonkeyPatch, error: Exception, hinted: int
    ) -> None:
        def failing(run: Run) -> int:
            raise error

        campaign = make(alice)
        OrmQ.objects.all().delete()
        monkeypatch.setattr(lifecycle, "freeze", failing)
        with nullcontext() if hinted else pytest.raises(ExceptionGroup):
            campaign_advance(campaign.pk)
        soon = OrmQ.objects.filter(lock=NOON + timedelta(seconds=1))
        assert [hint.task["func"] for hint in soon] == [advance.name] * hinted


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time")
class TestAdvanceLock:
    """Only one worker advances a campaign at a time."""

    @pytest.fixture
    def other(self, clock: time_machine.Traveller, alice: User) -> Iterator[psycopg2.extensions.connection]:
        """The connection of a worker that is in a long freeze of one of two campaigns."""
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

    def test_a_second_worker_returns_at_once_and_leaves_a_hint(self, other: psycopg2.extensions.connection) -> None:
        campaign = Campaign.objects.get(name="Sale")
        campaign_advance(campaign.pk)
        assert not Run.objects.exists()
        hint = OrmQ.objects.get()
        assert (hint.task["args"], hint.lock) == ((campaign.pk,), NOON + timedelta(seconds=1))

    def test_a_dead_workers_lock_is_released(self, other: psycopg2.extensions.connection) -> None:
        campaign = Campaign.objects.get(name="Sale")
        other.close()

        def begun() -> bool:
            campaign_advance(campaign.pk)
            return Run.objects.exists()

        assert wait_for(begun, "the lock of the dead worker")

    def test_the_lock_does_not_affect_other_campaigns(self, other: psycopg2.extensions.connection) -> None:
        campaign_advance(Campaign.objects.get(name="Other").pk)
        assert Run.objects.exists()

    def test_the_lock_is_released_at_the_end(self, other: psycopg2.extensions.connection) -> None:
        campaign_advance(Campaign.objects.get(name="Other").pk)
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
            assert cursor.fetchone() == (0,)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time")
@pytest.mark.django_db(transaction=True)
def test_counting_twice_does_not_deadlock_with_a_locked_campaign(alice: User) -> None:
    """Otherwise the transaction that holds the campaign would wait for the run, and both would deadlock."""
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
        assert Campaign.objects.get().lock_if_unchanged()
        count_twice(campaign)
    services._change(campaign, alice, count_twice)
