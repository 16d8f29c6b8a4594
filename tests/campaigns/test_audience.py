from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, time, timedelta
from typing import Any, ClassVar

import psycopg2
import pytest
import time_machine
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from campaigns import audience, lifecycle, services
from campaigns.audience import freeze, recipients, replan
from campaigns.counters import count
from campaigns.lifecycle import campaign_advance, retry_failed
from campaigns.models import Campaign, Message, Run
from directory.audience import Audience
from directory.bulk import bulk_start
from directory.models import Contact, Deed, Source
from directory.services import contact_update
from directory.upsert import Policy, contacts_upsert
from project.clock import now
from tests import factories
from tests.campaigns.engine import assert_counters_true

NINE = datetime(2026, 6, 1, 6, tzinfo=UTC)  # 09:00 in Moscow, 08:00 in Kaliningrad, 18:00 in Kamchatka
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
MOSCOW, KALININGRAD, KAMCHATKA = "Europe/Moscow", "Europe/Kaliningrad", "Asia/Kamchatka"


@pytest.fixture(autouse=True)
def clock() -> Any:
    with time_machine.travel(NINE, tick=False) as traveller:
        yield traveller


def run_of(owner: User, **fields: Any) -> Run:
    """A run that has just begun."""
    campaign = factories.campaign(owner, **{"starts_at": NINE, "ends_at": NINE + 72 * HOUR, **fields})
    return Run.objects.create(campaign=campaign, occurrence=campaign.starts_at)


def due(run: Run) -> dict[str, datetime]:
    """When messages may leave, by the contact's zone."""
    return dict(run.messages.values_list("contact__timezone", "due_at"))


def again(run: Run) -> Run:
    """The run as another worker would read it."""
    return Run.objects.select_related("campaign").get(pk=run.pk)


class TestRecipients:
    @pytest.mark.parametrize(
        ("picked", "expected"),
        [
            ({}, {"a", "b", "c", "d"}),
            ({"tags": ["vip"]}, {"a", "b"}),
            ({"tags": ["vip", "new"]}, {"a", "b", "c"}),
            ({"tags": ["vip", "new"], "tags_match": "all"}, {"b"}),
            ({"tags": ["vip"], "tags_match": "all"}, {"a", "b"}),
            ({"tags": ["vip", "none"], "tags_match": "all"}, set()),
            ({"tags": ["none"]}, set()),
            ({"operator_codes": ["903"]}, {"a", "c"}),
            ({"operator_codes": ["903", "905"]}, {"a", "b", "c", "d"}),
            ({"timezones": [KAMCHATKA]}, {"d"}),
            ({"operator_codes": ["903"], "tags": ["new"], "timezones": [MOSCOW]}, {"c"}),
        ],
    )
    def test_an_audience_picks(self, alice: User, bob: User, picked: dict[str, Any], expected: set[str]) -> None:
        factories.contact(alice, phone=79030000001, first_name="a", tags=("vip",))
        factories.contact(bob, phone=79050000002, first_name="b", tags=("vip", "new"))
        factories.contact(alice, phone=79030000003, first_name="c", tags=("new", "old"))
        factories.contact(alice, phone=79050000004, first_name="d", timezone=KAMCHATKA)
        for gone in ({"opted_out": True}, {"is_active": False}):
            factories.contact(alice, tags=("vip", "new"), **gone)
        campaign = factories.campaign(alice, audience=Audience.from_json(picked))
        found = list(recipients(campaign).values_list("first_name", flat=True))
        assert (set(found), len(found)) == (expected, len(expected))


class TestFreeze:
    def test_each_contact_gets_one_message_however_often_it_is_called(self, alice: User) -> None:
        contacts = {factories.contact(alice, tags=("a", "b", "c")).pk for _ in range(3)}
        run = run_of(alice, audience=Audience(tags=("a", "b", "c")))
        assert [freeze(run), freeze(run), freeze(again(run))] == [3, 0, 0]
        assert set(run.messages.values_list("contact_id", flat=True)) == contacts
        row = again(run)
        assert (row.pending, row.total, row.joined_at) == (3, 3, NINE)

    def test_a_message_waits_unsent_and_empty(self, alice: User) -> None:
        contact = factories.contact(alice)
        freeze(run_of(alice))
        message = Message.objects.get()
        assert (message.contact, message.status, message.due_at, message.changed_at) == (contact, "pending", NINE, NINE)
        assert (message.attempts, message.leases, message.parts, message.reason, message.text) == (0, 0, 0, "", "")
        assert (message.phone, message.lease_token) == (None, None)

    def test_nobody_is_no_error(self, alice: User) -> None:
        run = run_of(alice)
        assert freeze(run) == 0
        assert again(run).joined_at == NINE

    def test_it_costs_the_same_queries_whatever_the_number(self, alice: User) -> None:
        counts = []
        for number in (1, 30):
            for _ in range(number):
                factories.contact(alice)
            run = run_of(alice)
            with CaptureQueriesContext(connection) as queries:
                freeze(run)
            counts.append(len(queries))
        assert counts[0] == counts[1]

    def test_another_run_writes_to_the_same_contact_again(self, alice: User) -> None:
        factories.contact(alice)
        run = run_of(alice, repeat="daily")
        second = Run.objects.create(campaign=run.campaign, occurrence=NINE + 24 * HOUR)
        assert (freeze(run), freeze(second)) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_nobody_removes_a_contact_while_it_is_being_frozen(alice: User) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    contact = factories.contact(alice)
    other = psycopg2.connect(**connection.get_connection_params())
    with closing(other), transaction.atomic(), other.cursor() as cursor:
        assert freeze(run_of(alice)) == 1
        with pytest.raises(psycopg2.errors.LockNotAvailable):
            cursor.execute("SELECT 1 FROM directory_contact WHERE id = %s FOR UPDATE NOWAIT", [contact.pk])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("way", ["import", "bulk action"])
def test_who_changes_many_contacts_does_not_stand_in_the_way_of_who_freezes_them(alice: User, way: str) -> None:
    """Each would go through them in an order of its own, and wait for the other."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    contact = factories.contact(alice)
    other = psycopg2.connect(**connection.get_connection_params())
    with closing(other), transaction.atomic(), other.cursor() as cursor:
        if way == "import":
            told = {"phone": str(contact.phone), "first_name": "Anna", "tags": ["vip"]}
            contacts_upsert(by=alice, rows=[told], policy=Policy.UPDATE, source=Source.API)
        else:
            assert bulk_start(by=alice, deed=Deed.TAG, tag="vip", ids=[contact.pk]).changed == 1
        cursor.execute("SELECT 1 FROM directory_contact WHERE id = %s FOR KEY SHARE NOWAIT", [contact.pk])


class TestJoiners:
    def test_who_is_added_or_comes_to_match_joins(self, alice: User, clock: Any) -> None:
        other = factories.contact(alice, tags=("old",))
        returning = factories.contact(alice, tags=("new",), opted_out=True)
        factories.contact(alice, tags=("new",), is_active=False)
        run = run_of(alice, audience=Audience(tags=("new",)))
        assert freeze(run) == 0
        clock.shift(10 * MINUTE)
        added = factories.contact(alice, tags=("new",))
        assert freeze(again(run)) == 1
        clock.shift(10 * MINUTE)
        contact_update(contact=other, by=alice, tags=["new"])
        contact_update(contact=returning, by=alice, opted_out=False)
        assert freeze(again(run)) == 2
        assert set(run.messages.values_list("contact_id", flat=True)) == {added.pk, other.pk, returning.pk}
        assert again(run).pending == 3

    def test_a_change_that_became_visible_late_is_not_missed(self, alice: User, clock: Any) -> None:
        run = run_of(alice)
        clock.shift(10 * MINUTE)
        late = factories.contact(alice)
        Contact.objects.filter(pk=late.pk).update(is_active=False)
        assert freeze(again(run)) == 0
        clock.shift(MINUTE)
        Contact.objects.filter(pk=late.pk).update(is_active=True)  # commits now what began a minute ago
        assert freeze(again(run)) == 1

    def test_only_what_has_changed_is_looked_at(self, alice: User, clock: Any) -> None:
        run = run_of(alice)
        freeze(run)
        old = factories.contact(alice)
        clock.shift(HOUR)
        freeze(again(run))
        Message.objects.filter(contact=old).delete()
        clock.shift(HOUR)
        assert freeze(again(run)) == 0

    def test_an_audience_that_changes_while_recipients_are_frozen_is_looked_for_next_time(
        self, alice: User, clock: Any
    ) -> None:
        factories.contact(alice, tags=("old",))
        stale = again(run_of(alice, audience=Audience(tags=("new",))))
        campaign = Campaign.objects.get(pk=stale.campaign_id)
        clock.shift(10 * MINUTE)
        campaign.audience = Audience(tags=("old",)).to_json()
        campaign.save()
        campaign.runs.update(joined_at=None)
        assert freeze(stale) == 0
        clock.shift(10 * MINUTE)
        assert freeze(again(stale)) == 1

    def test_nobody_joins_a_run_that_another_worker_has_closed(self, alice: User, clock: Any) -> None:
        stale = again(run_of(alice))
        Run.objects.filter(pk=stale.pk).update(finished_at=now())
        factories.contact(alice)
        assert freeze(stale) == 0
        assert (again(stale).pending, again(stale).joined_at) == (0, None)
        Run.objects.filter(pk=stale.pk).update(finished_at=None)
        assert freeze(again(stale)) == again(stale).pending == 1


class TestDue:
    @pytest.fixture(autouse=True)
    def people(self, alice: User) -> None:
        for zone in (MOSCOW, KALININGRAD, KAMCHATKA):
            factories.contact(alice, timezone=zone)

    def test_all_at_once_unless_told(self, alice: User) -> None:
        run = run_of(alice)
        freeze(run)
        assert due(run) == dict.fromkeys((MOSCOW, KALININGRAD, KAMCHATKA), NINE)

    def test_a_run_that_is_late_starts_now(self, alice: User, clock: Any) -> None:
        run = run_of(alice)
        clock.shift(5 * MINUTE)
        freeze(run)
        assert set(due(run).values()) == {NINE + 5 * MINUTE}

    def test_local_time_comes_in_each_zone_by_itself(self, alice: User) -> None:
        run = run_of(alice, local_time=True)
        freeze(run)
        assert due(run) == {MOSCOW: NINE, KALININGRAD: NINE + HOUR, KAMCHATKA: NINE}  # Kamchatka's has passed

    def test_local_time_is_that_of_the_owner(self, alice: User) -> None:
        User.objects.filter(pk=alice.pk).update(timezone=KAMCHATKA)
        alice.refresh_from_db()
        run = run_of(alice, local_time=True)
        freeze(run)
        assert due(run) == {KAMCHATKA: NINE, MOSCOW: NINE + 9 * HOUR, KALININGRAD: NINE + 10 * HOUR}

    def test_a_window_is_that_of_the_contact(self, alice: User) -> None:
        run = run_of(alice, window=(time(9), time(18)))
        freeze(run)
        assert due(run) == {MOSCOW: NINE, KALININGRAD: NINE + HOUR, KAMCHATKA: NINE + 15 * HOUR}

    def test_a_window_may_span_midnight(self, alice: User) -> None:
        run = run_of(alice, window=(time(18), time(9)))
        freeze(run)
        assert due(run) == {MOSCOW: NINE + 9 * HOUR, KALININGRAD: NINE, KAMCHATKA: NINE}

    def test_local_time_and_window_both_hold(self, alice: User) -> None:
        run = run_of(alice, local_time=True, window=(time(10), time(20)))
        freeze(run)
        assert due(run) == {MOSCOW: NINE + HOUR, KALININGRAD: NINE + 2 * HOUR, KAMCHATKA: NINE}


class TestReplan:
    """A window that changes while a run is active: at 9 in Moscow, from noon to one o'clock there."""

    @pytest.fixture
    def run(self, alice: User) -> Run:
        """Three messages wait in each zone, and are to be planned anew."""
        for zone in (MOSCOW, KALININGRAD, KAMCHATKA) * 3:
            factories.contact(alice, timezone=zone)
        run = run_of(alice)
        freeze(run)
        Campaign.objects.filter(pk=run.campaign_id).update(window_start=time(12), window_end=time(13))
        Run.objects.filter(pk=run.pk).update(replan_from=0)
        return again(run)

    NOONS: ClassVar = {MOSCOW: NINE + 3 * HOUR, KALININGRAD: NINE + 4 * HOUR, KAMCHATKA: NINE + 18 * HOUR}

    @pytest.mark.parametrize("batch", [1, 4, 9, 100])
    def test_everything_that_waits_moves_whatever_the_batch(
        self, run: Run, batch: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(audience, "_REPLAN_BATCH", batch)
        replan(run)
        assert due(run) == self.NOONS
        assert run.messages.exclude(due_at=NINE).count() == 9
        assert again(run).replan_from is None

    def test_what_waits_for_its_next_attempt_keeps_its_time(self, run: Run) -> None:
        tried = run.messages.filter(contact__timezone=KAMCHATKA)
        tried.update(attempts=1, due_at=NINE + 7 * MINUTE)
        replan(run)
        assert due(run) == self.NOONS | {KAMCHATKA: NINE + 7 * MINUTE}

    def test_what_waits_for_a_window_after_an_attempt_moves_with_it(self, run: Run) -> None:
        run.messages.update(attempts=1, due_at=NINE + 5 * HOUR)
        replan(run)
        assert due(run) == self.NOONS

    def test_it_goes_on_where_it_was_interrupted(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(audience, "_REPLAN_BATCH", 4)
        with monkeypatch.context() as dying:
            dying.setattr(audience, "_plan", _dies_at_its_second_call(audience._plan))
            with pytest.raises(SystemExit):
                replan(run)
        done = list(run.messages.order_by("pk").exclude(due_at=NINE).values_list("pk", flat=True))
        assert len(done) == 4
        assert again(run).replan_from == done[-1] + 1
        replan(again(run))
        assert due(run) == self.NOONS

    def test_a_second_change_meanwhile_begins_anew(
        self, run: Run, clock: Any, alice: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(audience, "_REPLAN_BATCH", 4)
        stale = again(run)
        clock.shift(MINUTE)
        Campaign.objects.filter(pk=run.campaign_id).update(status="running")
        services.campaign_update(campaign=run.campaign, by=alice, window=(time(18), time(19)))
        replan(stale)
        assert set(due(run).values()) == {NINE}
        assert again(run).replan_from == 0
        replan(again(run))
        assert due(run)[MOSCOW] == NINE + 9 * HOUR

    def test_no_recipient_is_frozen_by_a_plan_that_has_changed(self, run: Run, alice: User, clock: Any) -> None:
        stale = again(run)
        stale.joined_at = None
        factories.contact(alice, timezone=MOSCOW)
        clock.shift(MINUTE)
        Campaign.objects.filter(pk=run.campaign_id).update(updated_at=NINE + MINUTE)
        assert freeze(stale) == 0
        assert run.messages.count() == again(run).pending == 9


class TestRetry:
    @pytest.fixture
    def run(self, alice: User) -> Run:
        """Six messages, of which two failed, and one will."""
        for _ in range(6):
            factories.contact(alice)
        run = run_of(alice)
        freeze(run)
        self.fail(run, 2)
        return again(run)

    def fail(self, run: Run, number: int) -> None:
        """So many more fail."""
        ids = list(run.messages.filter(status="pending").order_by("pk").values_list("pk", flat=True)[:number])
        run.messages.filter(pk__in=ids).update(status="failed", reason="http_400", attempts=3, changed_at=now())
        count(run.pk, {"pending": -number, "failed": number})

    @pytest.mark.parametrize("batch", [1, 2, 100])
    def test_what_failed_until_it_was_asked_for_waits_again(
        self, run: Run, batch: int, clock: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(audience, "_REPLAN_BATCH", batch)
        assert retry_failed(run.campaign) == 2
        assert again(run).failed == 2
        clock.shift(MINUTE)
        self.fail(run, 1)
        replan(again(run))
        assert_counters_true(run.campaign)
        row = again(run)
        assert (row.pending, row.failed, row.replan_from, row.retry_before) == (5, 1, None, None)
        assert set(run.messages.filter(status="pending").values_list("attempts", "reason")) == {(0, "")}

    def test_a_run_that_is_to_be_retried_does_not_close(self, run: Run, clock: Any) -> None:
        self.fail(run, 4)
        clock.shift(MINUTE)
        Campaign.objects.filter(pk=run.campaign_id).update(status="running")
        retry_failed(run.campaign)
        lifecycle._close(again(run))
        assert again(run).finished_at is None
        campaign_advance(run.campaign_id)
        assert (again(run).pending, again(run).finished_at) == (6, None)


def _dies_at_its_second_call(function: Callable[..., None]) -> Callable[..., None]:
    """The process ends in the middle of the second call's work."""
    calls = iter([False, True])

    def dying(*args: Any) -> None:
        function(*args)
        if next(calls):
            raise SystemExit

    return dying
