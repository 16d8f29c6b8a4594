from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from campaigns.audience import freeze, recipients, reschedule
from campaigns.models import Campaign, Message, Run
from directory.models import Audience, Contact
from directory.services import contact_update
from tests import factories

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
        ("audience", "expected"),
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
    def test_an_audience_picks(self, alice: User, bob: User, audience: dict[str, Any], expected: set[str]) -> None:
        factories.contact(alice, phone=79030000001, first_name="a", tags=("vip",))
        factories.contact(bob, phone=79050000002, first_name="b", tags=("vip", "new"))
        factories.contact(alice, phone=79030000003, first_name="c", tags=("new", "old"))
        factories.contact(alice, phone=79050000004, first_name="d", timezone=KAMCHATKA)
        for gone in ({"opted_out": True}, {"is_active": False}):
            factories.contact(alice, tags=("vip", "new"), **gone)
        campaign = factories.campaign(alice, audience=Audience.from_json(audience))
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
        assert (message.phone, message.lease_token, message.leased_until) == (None, None, None)

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
        reschedule(campaign, everyone=True)
        assert freeze(stale) == 0
        clock.shift(10 * MINUTE)
        assert freeze(again(stale)) == 1


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

    def test_rescheduling_moves_what_never_left(self, alice: User) -> None:
        run = run_of(alice)
        freeze(run)
        tried = run.messages.get(contact__timezone=KAMCHATKA)
        Message.objects.filter(pk=tried.pk).update(attempts=1, due_at=NINE + 7 * MINUTE)
        campaign = run.campaign
        campaign.window_start, campaign.window_end = time(12), time(13)
        reschedule(campaign, everyone=False)
        assert due(run) == {MOSCOW: NINE + 3 * HOUR, KALININGRAD: NINE + 4 * HOUR, KAMCHATKA: NINE + 7 * MINUTE}
        assert again(run).joined_at == NINE

    def test_rescheduling_leaves_runs_that_are_over_alone(self, alice: User, clock: Any) -> None:
        run = run_of(alice)
        freeze(run)
        Run.objects.filter(pk=run.pk).update(finished_at=NINE)
        clock.shift(HOUR)
        reschedule(run.campaign, everyone=True)
        assert set(due(run).values()) == {NINE}
        assert again(run).joined_at == NINE
