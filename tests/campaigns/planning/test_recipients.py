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
from campaigns import services
from campaigns.counters import count
from campaigns.models import Campaign, Message, Run
from campaigns.planning import lifecycle
from campaigns.planning import recipients as audience
from campaigns.planning.lifecycle import campaign_advance, retry_failed
from campaigns.planning.recipients import freeze, recipients, replan
from directory.audiences.audience import Audience
from directory.bulk_actions.work import bulk_start
from directory.contacts.services import contact_update
from directory.contacts.upsert import Policy, contacts_upsert
from directory.models import BulkActionType, Contact, Source
from project.core.clock import now
from tests import factories
from tests.campaigns.engine import assert_counters_match

NINE = datetime(2026, 6, 1, 6, tzinfo=UTC)  # 09:00 in Moscow, 08:00 in Kaliningrad, 18:00 in Kamchatka
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
MOSCOW, KALININGRAD, KAMCHATKA = "Europe/Moscow", "Europe/Kaliningrad", "Asia/Kamchatka"


@pytest.fixture(autouse=True)
def clock() -> Any:
    with time_machine.travel(NINE, tick=False) as traveller:
        yield traveller


def run_of(owner: User, **fields: Any) -> Run:
    """A run that has just started."""
    campaign = factories.campaign(owner, **{"starts_at": NINE, "ends_at": NINE + 72 * HOUR, **fields})
    return Run.objects.create(campaign=campaign, occurrence=campaign.starts_at)


def due(run: Run) -> dict[str, datetime]:
    """Due times by the contact's zone."""
    return dict(run.messages.values_list("contact__timezone", "due_at"))


def reloaded(run: Run) -> Run:
    """Reload the run."""
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
            ({"countries": ["RU"]}, {"a", "b", "c", "d"}),
            ({"countries": ["KZ"]}, set()),
            ({"operator_codes": ["903"], "tags": ["new"], "timezones": [MOSCOW]}, {"c"}),
        ],
    )
    def test_an_audience_selects_contacts(
        self, alice: User, bob: User, picked: dict[str, Any], expected: set[str]
    ) -> None:
        factories.contact(alice, phone=79030000001, first_name="a", tags=("vip",))
        factories.contact(bob, phone=79050000002, first_name="b", tags=("vip", "new"))
        factories.contact(alice, phone=79030000003, first_name="c", tags=("new", "old"))
        factories.contact(alice, phone=79050000004, first_name="d", timezone=KAMCHATKA)
        for not_reachable in ({"opted_out": True}, {"is_active": False}):
            factories.contact(alice, tags=("vip", "new"), **not_reachable)
        campaign = factories.campaign(alice, audience=Audience.from_json(picked))
        found = list(recipients(campaign).values_list("first_name", flat=True))
        assert (set(found), len(found)) == (expected, len(expected))


class TestFreeze:
    def test_each_contact_gets_one_message_however_often_freeze_is_called(self, alice: User) -> None:
        contacts = {factories.contact(alice, tags=("a", "b", "c")).pk for _ in range(3)}
        run = run_of(alice, audience=Audience(tags=("a", "b", "c")))
        assert [freeze(run), freeze(run), freeze(reloaded(run))] == [3, 0, 0]
        assert set(run.messages.values_list("contact_id", flat=True)) == contacts
        row = reloaded(run)
        assert (row.pending, row.total, row.joined_at) == (3, 3, NINE)

    def test_a_message_waits_unsent_and_empty(self, alice: User) -> None:
        contact = factories.contact(alice)
        freeze(run_of(alice))
        message = Message.objects.get()
        assert (message.contact, message.status, message.due_at, message.changed_at) == (contact, "pending", NINE, NINE)
        assert (message.attempts, message.leases, message.parts, message.reason, message.text) == (0, 0, 0, "", "")
        assert (message.phone, message.lease_token) == (None, None)

    def test_no_recipients_is_not_an_error(self, alice: User) -> None:
        run = run_of(alice)
        assert freeze(run) == 0
        assert reloaded(run).joined_at == NINE

    def test_the_number_of_queries_is_constant(self, alice: User) -> None:
        counts = []
        for number in (1, 30):
            for _ in range(number):
                factories.contact(alice)
            run = run_of(alice)
            with CaptureQueriesContext(connection) as queries:
                freeze(run)
            counts.append(len(queries))
        assert counts[0] == counts[1]

    def test_another_run_sends_to_the_same_contact_again(self, alice: User) -> None:
        factories.contact(alice)
        run = run_of(alice, repeat="daily")
        second = Run.objects.create(campaign=run.campaign, occurrence=NINE + 24 * HOUR)
        assert (freeze(run), freeze(second)) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_a_contact_cannot_be_deleted_while_it_is_being_frozen(alice: User) -> None:
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
def test_changing_many_contacts_does_not_deadlock_with_freezing(alice: User, way: str) -> None:
    """With different orders of locking, both would deadlock."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    contact = factories.contact(alice)
    other = psycopg2.connect(**connection.get_connection_params())
    with closing(other), transaction.atomic(), other.cursor() as cursor:
        if way == "import":
            fields = {"phone": str(contact.phone), "first_name": "Anna", "tags": ["vip"]}
            contacts_upsert(by=alice, rows=[fields], policy=Policy.UPDATE, source=Source.API)
        else:
            assert bulk_start(by=alice, kind=BulkActionType.TAG, tag="vip", ids=[contact.pk]).changed == 1
        cursor.execute("SELECT 1 FROM directory_contact WHERE id = %s FOR KEY SHARE NOWAIT", [contact.pk])


class TestJoiners:
    def test_contacts_that_are_added_or_come_to_match_join(self, alice: User, clock: Any) -> None:
        other = factories.contact(alice, tags=("old",))
        returning = factories.contact(alice, tags=("new",), opted_out=True)
        factories.contact(alice, tags=("new",), is_active=False)
        run = run_of(alice, audience=Audience(tags=("new",)))
        assert freeze(run) == 0
        clock.shift(10 * MINUTE)
        added = factories.contact(alice, tags=("new",))
        assert freeze(reloaded(run)) == 1
        clock.shift(10 * MINUTE)
        contact_update(contact=other, by=alice, tags=["new"])
        contact_update(contact=returning, by=alice, opted_out=False)
        assert freeze(reloaded(run)) == 2
        assert set(run.messages.values_list("contact_id", flat=True)) == {added.pk, other.pk, returning.pk}
        assert reloaded(run).pending == 3

    def test_a_change_committed_late_is_not_missed(self, alice: User, clock: Any) -> None:
        run = run_of(alice)
        clock.shift(10 * MINUTE)
        late = factories.contact(alice)
        Contact.objects.filter(pk=late.pk).update(is_active=False)
        assert freeze(reloaded(run)) == 0
        clock.shift(MINUTE)
        Contact.objects.filter(pk=late.pk).update(is_active=True)  # simulates a commit of a change made a minute ago
        assert freeze(reloaded(run)) == 1

    def test_only_changed_contacts_are_read(self, alice: User, clock: Any) -> None:
        run = run_of(alice)
        freeze(run)
        old = factories.contact(alice)
        clock.shift(HOUR)
        freeze(reloaded(run))
        Message.objects.filter(contact=old).delete()
        clock.shift(HOUR)
        assert freeze(reloaded(run)) == 0

    def test_a_change_of_the_audience_during_freeze_is_applied_next_time(self, alice: User, clock: Any) -> None:
        factories.contact(alice, tags=("old",))
        stale = reloaded(run_of(alice, audience=Audience(tags=("new",))))
        campaign = Campaign.objects.get(pk=stale.campaign_id)
        clock.shift(10 * MINUTE)
        campaign.audience = Audience(tags=("old",)).to_json()
        campaign.save()
        campaign.runs.update(joined_at=None)
        assert freeze(stale) == 0
        clock.shift(10 * MINUTE)
        assert freeze(reloaded(stale)) == 1

    def test_nobody_joins_a_closed_run(self, alice: User, clock: Any) -> None:
        stale = reloaded(run_of(alice))
        Run.objects.filter(pk=stale.pk).update(finished_at=now())
        factories.contact(alice)
        assert freeze(stale) == 0
        assert (reloaded(stale).pending, reloaded(stale).joined_at) == (0, None)
        Run.objects.filter(pk=stale.pk).update(finished_at=None)
        assert freeze(reloaded(stale)) == reloaded(stale).pending == 1


class TestDue:
    @pytest.fixture(autouse=True)
    def people(self, alice: User) -> None:
        for zone in (MOSCOW, KALININGRAD, KAMCHATKA):
            factories.contact(alice, timezone=zone)

    def test_messages_are_due_at_once_by_default(self, alice: User) -> None:
        run = run_of(alice)
        freeze(run)
        assert due(run) == dict.fromkeys((MOSCOW, KALININGRAD, KAMCHATKA), NINE)

    def test_a_late_run_starts_now(self, alice: User, clock: Any) -> None:
        run = run_of(alice)
        clock.shift(5 * MINUTE)
        freeze(run)
        assert set(due(run).values()) == {NINE + 5 * MINUTE}

    def test_local_time_is_computed_per_zone(self, alice: User) -> None:
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
    """A window that changes during a run: at 9:00 in Moscow, to 12:00–13:00."""

    @pytest.fixture
    def run(self, alice: User) -> Run:
        """A run with three pending messages per zone, marked to be replanned."""
        for zone in (MOSCOW, KALININGRAD, KAMCHATKA) * 3:
            factories.contact(alice, timezone=zone)
        run = run_of(alice)
        freeze(run)
        Campaign.objects.filter(pk=run.campaign_id).update(window_start=time(12), window_end=time(13))
        Run.objects.filter(pk=run.pk).update(replan_from=0)
        return reloaded(run)

    NOONS: ClassVar = {MOSCOW: NINE + 3 * HOUR, KALININGRAD: NINE + 4 * HOUR, KAMCHATKA: NINE + 18 * HOUR}

    @pytest.mark.parametrize("batch", [1, 4, 9, 100])
    def test_all_pending_messages_are_replanned_in_batches(
        self, run: Run, batch: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(audience, "_REPLAN_BATCH", batch)
        replan(run)
        assert due(run) == self.NOONS
        assert run.messages.exclude(due_at=NINE).count() == 9
        assert reloaded(run).replan_from is None

    def test_a_message_waiting_for_a_retry_keeps_its_due_time(self, run: Run) -> None:
        tried = run.messages.filter(contact__timezone=KAMCHATKA)
        tried.update(attempts=1, due_at=NINE + 7 * MINUTE)
        replan(run)
        assert due(run) == self.NOONS | {KAMCHATKA: NINE + 7 * MINUTE}

    def test_a_retry_that_waits_for_a_window_is_replanned(self, run: Run) -> None:
        run.messages.update(attempts=1, due_at=NINE + 5 * HOUR)
        replan(run)
        assert due(run) == self.NOONS

    def test_replanning_continues_where_it_was_interrupted(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(audience, "_REPLAN_BATCH", 4)
        with monkeypatch.context() as dying:
            dying.setattr(audience, "_plan", _dies_at_its_second_call(audience._plan))
            with pytest.raises(SystemExit):
                replan(run)
        done = list(run.messages.order_by("pk").exclude(due_at=NINE).values_list("pk", flat=True))
        assert len(done) == 4
        assert reloaded(run).replan_from == done[-1] + 1
        replan(reloaded(run))
        assert due(run) == self.NOONS

    def test_a_second_change_restarts_replanning(
        self, run: Run, clock: Any, alice: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(audience, "_REPLAN_BATCH", 4)
        stale = reloaded(run)
        clock.shift(MINUTE)
        Campaign.objects.filter(pk=run.campaign_id).update(status="running")
        services.campaign_update(campaign=run.campaign, by=alice, window=(time(18), time(19)))
        replan(stale)
        assert set(due(run).values()) == {NINE}
        assert reloaded(run).replan_from == 0
        replan(reloaded(run))
        assert due(run)[MOSCOW] == NINE + 9 * HOUR

    def test_no_recipient_is_frozen_by_an_outdated_plan(self, run: Run, alice: User, clock: Any) -> None:
        stale = reloaded(run)
        stale.joined_at = None
        factories.contact(alice, timezone=MOSCOW)
        clock.shift(MINUTE)
        Campaign.objects.filter(pk=run.campaign_id).update(updated_at=NINE + MINUTE)
        assert freeze(stale) == 0
        assert run.messages.count() == reloaded(run).pending == 9


class TestRetry:
    @pytest.fixture
    def run(self, alice: User) -> Run:
        """A run with six messages, of which two failed and one will."""
        for _ in range(6):
            factories.contact(alice)
        run = run_of(alice)
        freeze(run)
        self.fail(run, 2)
        return reloaded(run)

    def fail(self, run: Run, number: int) -> None:
        """Let this many more messages fail."""
        ids = list(run.messages.filter(status="pending").order_by("pk").values_list("pk", flat=True)[:number])
        run.messages.filter(pk__in=ids).update(status="failed", reason="http_400", attempts=3, changed_at=now())
        count({run.pk: {"pending": -number, "failed": number}})

    @pytest.mark.parametrize("batch", [1, 2, 100])
    def test_messages_failed_before_the_retry_become_pending(
        self, run: Run, batch: int, clock: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(audience, "_REPLAN_BATCH", batch)
        assert retry_failed(run.campaign) == 2
        assert reloaded(run).failed == 2
        clock.shift(MINUTE)
        self.fail(run, 1)
        replan(reloaded(run))
        assert_counters_match(run.campaign)
        row = reloaded(run)
        assert (row.pending, row.failed, row.replan_from, row.retry_before) == (5, 1, None, None)
        assert set(run.messages.filter(status="pending").values_list("attempts", "reason")) == {(0, "")}

    def test_a_run_marked_for_retry_does_not_close(self, run: Run, clock: Any) -> None:
        self.fail(run, 4)
        clock.shift(MINUTE)
        Campaign.objects.filter(pk=run.campaign_id).update(status="running")
        retry_failed(run.campaign)
        lifecycle._close(reloaded(run))
        assert reloaded(run).finished_at is None
        campaign_advance(run.campaign_id)
        assert (reloaded(run).pending, reloaded(run).finished_at) == (6, None)


def _dies_at_its_second_call(function: Callable[..., None]) -> Callable[..., None]:
    """Simulate the death of the process during the second call."""
    calls = iter([False, True])

    def dying(*args: Any) -> None:
        function(*args)
        if next(calls):
            raise SystemExit

    return dying


def test_looking_for_joiners_uses_no_ids(alice: User) -> None:
    for _ in range(5):
        factories.contact(alice)
    run = run_of(alice)
    freeze(run)
    for _ in range(3):
        Contact.objects.update(updated_at=now())
        assert freeze(reloaded(run)) == 0
    factories.contact(alice)
    assert freeze(reloaded(run)) == 1
    ids = sorted(run.messages.values_list("pk", flat=True))
    assert ids == list(range(ids[0], ids[0] + 6))
