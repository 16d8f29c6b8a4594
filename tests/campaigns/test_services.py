import threading
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
import time_machine
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now
from django_q.models import OrmQ

from accounts.models import User
from campaigns import services
from campaigns.models import MAX_TEXT_LENGTH, Campaign, Gateway, Message, Run
from campaigns.planning.lifecycle import campaign_advance
from campaigns.planning.recipients import freeze
from campaigns.states import CampaignStatus
from directory.audiences.audience import Audience
from project.http.errors import Conflict
from tests import factories
from tests.campaigns.engine import hints

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
ADVANCE = "campaigns.tasks.advance"
FINAL = {"finished", "cancelled"}
ACTIONS: dict[str, Callable[..., Any]] = {
    "launch": services.campaign_launch,
    "withdraw": services.campaign_withdraw,
    "pause": services.campaign_pause,
    "resume": services.campaign_resume,
    "cancel": services.campaign_cancel,
    "delete": services.campaign_delete,
    "duplicate": services.campaign_duplicate,
}
# The states from which an action is allowed, and the state it leads to.
LEADS = {
    "launch": {"draft": "scheduled"},
    "withdraw": {"scheduled": "draft"},
    "pause": {"running": "paused"},
    "resume": {"paused": "running"},
    "cancel": dict.fromkeys(("draft", "scheduled", "running", "paused"), "cancelled"),
    "delete": dict.fromkeys(("draft", "scheduled", "running", "paused", "cancelled"), "cancelled")
    | {"finished": "finished"},
    "duplicate": {status: status for status in CampaignStatus.values},
}


def in_state(owner: User, status: str, **fields: Any) -> Campaign:
    """A campaign in that state."""
    campaign = factories.campaign(owner, draft=status == "draft", **fields)
    Campaign.objects.filter(pk=campaign.pk).update(status=status)
    campaign.refresh_from_db()
    return campaign


def errors_of(refused: pytest.ExceptionInfo[ValidationError]) -> set[str]:
    return set(refused.value.message_dict)


class TestCreate:
    def test_it_starts_automatically(self, alice: User) -> None:
        campaign = factories.campaign(alice)
        campaign.refresh_from_db()
        assert campaign.status == "scheduled"
        assert (campaign.owner, campaign.timezone) == (alice, alice.timezone)
        assert hints(ADVANCE) == 1

    def test_without_a_start_it_starts_now(self, alice: User) -> None:
        assert factories.campaign(alice, starts_at=None).starts_at <= now()

    def test_a_start_that_has_passed_is_no_error_while_the_end_has_not(self, alice: User) -> None:
        campaign = factories.campaign(alice, starts_at=now() - DAY, ends_at=now() + HOUR)
        assert (campaign.status, hints(ADVANCE)) == ("scheduled", 1)

    def test_a_draft_waits_for_its_launch(self, alice: User) -> None:
        assert factories.campaign(alice, draft=True).status == "draft"
        assert hints(ADVANCE) == 0

    def test_a_distant_start_leaves_no_hint(self, alice: User) -> None:
        factories.campaign(alice, starts_at=now() + DAY)
        assert hints(ADVANCE) == 0

    def test_eastern_zones_begin_before_the_campaigns_start(self, alice: User) -> None:
        factories.campaign(alice, starts_at=now() + 5 * HOUR, local_time=True)
        assert hints(ADVANCE) == 1

    def test_every_field_is_kept(self, alice: User) -> None:
        fields: dict[str, Any] = {
            "name": "Осенняя распродажа",
            "text": "Привет, {first_name|друг}!",
            "starts_at": datetime(2098, 9, 1, 7, tzinfo=UTC),
            "ends_at": datetime(2098, 9, 30, 18, tzinfo=UTC),
            "local_time": True,
            "window": (time(22), time(6, 30)),
            "repeat": "weekly",
            "rate_limit": 12.5,
            "audience": Audience(operator_codes=("903", "999"), tags=("vip",), tags_match="all"),
        }
        campaign = factories.campaign(alice, **fields)
        row = Campaign.objects.get(pk=campaign.pk)
        assert row.audience_filter == fields.pop("audience")
        assert {name: getattr(row, name) for name in fields} == fields

    @pytest.mark.parametrize(
        ("field", "value", "blamed"),
        [
            ("name", "", "name"),
            ("name", "x" * 201, "name"),
            ("text", "", "text"),
            ("text", " \n", "text"),
            ("text", "x" * (MAX_TEXT_LENGTH + 1), "text"),
            ("repeat", "hourly", "repeat"),
            ("rate_limit", 0.0, "rate_limit"),
            ("rate_limit", -1.0, "rate_limit"),
            ("window", (time(9), time(9)), "window"),
            ("window", (time(0), time(0)), "window"),
        ],
    )
    def test_invalid_values_are_refused(self, alice: User, field: str, value: Any, blamed: str) -> None:
        with pytest.raises(ValidationError) as refused:
            factories.campaign(alice, **{field: value})
        assert errors_of(refused) == {blamed}
        assert not Campaign.objects.exists()
        assert hints(ADVANCE) == 0

    @pytest.mark.parametrize("draft", [False, True])
    @pytest.mark.parametrize(("starts", "ends"), [(2, 1), (1, 1), (-2, -1)])
    def test_it_ends_after_its_start_and_in_the_future(self, alice: User, starts: int, ends: int, draft: bool) -> None:
        at = now()
        with pytest.raises(ValidationError) as refused:
            factories.campaign(alice, starts_at=at + starts * HOUR, ends_at=at + ends * HOUR, draft=draft)
        assert errors_of(refused) == {"ends_at"}


class TestDuplicates:
    SAME = {"text": "Sale", "audience": Audience(tags=("new", "vip"))}

    @pytest.mark.parametrize("status", CampaignStatus.values)
    def test_a_duplicate_is_refused_while_the_other_is_unfinished(self, alice: User, bob: User, status: str) -> None:
        in_state(alice, status, **self.SAME)
        if status in ("scheduled", "running", "paused"):
            with pytest.raises(Conflict):
                factories.campaign(bob, **self.SAME)
        else:
            factories.campaign(bob, **self.SAME)

    @pytest.mark.parametrize(
        "other",
        [{"text": "Sale!"}, {"repeat": "daily"}, {"audience": Audience(tags=("vip",))}, {"draft": True}],
        ids=str,
    )
    def test_another_text_audience_or_repeat_is_no_duplicate(self, alice: User, other: dict[str, Any]) -> None:
        factories.campaign(alice, **self.SAME)
        factories.campaign(alice, **{**self.SAME, **other})
        assert Campaign.objects.count() == 2

    def test_the_order_in_which_an_audience_is_written_does_not_matter(self, alice: User) -> None:
        factories.campaign(alice, **self.SAME)
        with pytest.raises(Conflict):
            factories.campaign(alice, text="Sale", audience=Audience.from_json({"tags": ["VIP ", "new", "vip"]}))

    def test_a_duplicate_draft_is_not_launched(self, alice: User) -> None:
        draft = factories.campaign(alice, draft=True, **self.SAME)
        duplicate = factories.campaign(alice, **self.SAME)
        with pytest.raises(Conflict):
            services.campaign_launch(campaign=draft, by=alice)
        draft.refresh_from_db()
        assert draft.status == "draft"
        services.campaign_cancel(campaign=duplicate, by=alice)
        assert services.campaign_launch(campaign=draft, by=alice).status == "scheduled"

    def test_a_change_cannot_create_a_duplicate(self, alice: User) -> None:
        factories.campaign(alice, **self.SAME)
        other = factories.campaign(alice, text="Other", audience=self.SAME["audience"])
        with pytest.raises(Conflict):
            services.campaign_update(campaign=other, by=alice, text="Sale")
        other.refresh_from_db()
        assert other.text == "Other"

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")
    def test_only_one_of_simultaneous_requests_succeeds(self, alice: User) -> None:
        together, outcomes = threading.Barrier(8), []

        def request() -> None:
            together.wait()
            try:
                factories.campaign(alice, **self.SAME)
                outcomes.append("created")
            except Conflict:
                outcomes.append("conflict")
            finally:
                connection.close()

        threads = [threading.Thread(target=request) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["conflict"] * 7 + ["created"]
        assert Campaign.objects.count() == 1


class TestActions:
    @pytest.mark.parametrize("status", CampaignStatus.values)
    @pytest.mark.parametrize("action", ACTIONS)
    def test_an_action_follows_the_table_of_transitions(self, alice: User, action: str, status: str) -> None:
        campaign = in_state(alice, status)
        if status in LEADS[action]:
            ACTIONS[action](campaign=campaign, by=alice)
            expected = LEADS[action][status]
        else:
            with pytest.raises(Conflict):
                ACTIONS[action](campaign=campaign, by=alice)
            expected = status
        campaign.refresh_from_db()
        assert campaign.status == expected
        assert (campaign.deleted_at is not None) is (action == "delete")

    @pytest.mark.parametrize("action", ACTIONS)
    def test_only_its_creator_or_an_administrator_may(self, alice: User, bob: User, admin: User, action: str) -> None:
        status = next(iter(LEADS[action]))
        campaign = in_state(alice, status)
        with pytest.raises(PermissionDenied):
            ACTIONS[action](campaign=campaign, by=bob)
        campaign.refresh_from_db()
        assert (campaign.status, campaign.deleted_at, Campaign.objects.count()) == (status, None, 1)
        ACTIONS[action](campaign=campaign, by=admin)

    @pytest.mark.parametrize("action", ["pause", "resume", "cancel", "delete"])
    def test_an_action_takes_effect_at_once(self, alice: User, action: str) -> None:
        campaign = in_state(alice, "paused" if action == "resume" else "running")
        OrmQ.objects.all().delete()
        ACTIONS[action](campaign=campaign, by=alice)
        assert hints(ADVANCE) == 1

    def test_an_expired_draft_can_only_be_cancelled_and_deleted(self, alice: User) -> None:
        draft = factories.campaign(alice, draft=True)
        with time_machine.travel(now() + DAY):
            with pytest.raises(ValidationError) as refused:
                services.campaign_launch(campaign=draft, by=alice)
            assert errors_of(refused) == {"ends_at"}
            services.campaign_cancel(campaign=draft, by=alice)
            services.campaign_delete(campaign=draft, by=alice)
        assert not Campaign.objects.visible().exists()

    def test_a_copy_is_a_draft_with_the_same_duration(self, alice: User, admin: User) -> None:
        original = in_state(
            alice,
            "finished",
            name="n" * 200,
            starts_at=now(),
            ends_at=now() + 3 * HOUR,
            window=(time(9), time(21)),
            repeat="daily",
            rate_limit=5.0,
            local_time=True,
            audience=Audience(tags=("vip",)),
        )
        with time_machine.travel(now() + 10 * DAY):
            copy = services.campaign_duplicate(campaign=original, by=admin)
            assert copy.starts_at <= now() < copy.ends_at
        copy.refresh_from_db()
        assert (copy.status, copy.owner) == ("draft", admin)
        assert abs((copy.ends_at - copy.starts_at) - (original.ends_at - original.starts_at)) < timedelta(seconds=1)
        same = ("text", "audience_filter", "window", "repeat", "rate_limit", "local_time")
        assert [getattr(copy, name) for name in same] == [getattr(original, name) for name in same]

    def test_a_copy_of_a_future_campaign_has_the_same_start(self, alice: User) -> None:
        original = factories.campaign(alice, starts_at=now() + 3 * DAY)
        assert services.campaign_duplicate(campaign=original, by=alice).starts_at == original.starts_at


VALUES: dict[str, Any] = {
    "name": "Another name",
    "ends_at": datetime(2099, 1, 1, tzinfo=UTC),
    "window": (time(10), time(11)),
    "rate_limit": 7.5,
    "text": "Another text",
    "audience": Audience(tags=("other",)),
    "starts_at": datetime(2098, 1, 1, tzinfo=UTC),
    "local_time": True,
    "repeat": "monthly",
}
ALWAYS = {"name", "ends_at", "window", "rate_limit"}
CHANGEABLE = {
    "draft": set(VALUES),
    "scheduled": set(VALUES),
    "running": ALWAYS,
    "paused": ALWAYS | {"text", "audience"},
    "finished": set[str](),
    "cancelled": set[str](),
}


class TestUpdate:
    @pytest.mark.parametrize("status", CampaignStatus.values)
    @pytest.mark.parametrize("field", VALUES)
    def test_a_field_changes_as_far_as_the_state_allows(self, alice: User, field: str, status: str) -> None:
        campaign = in_state(alice, status, ends_at=now() + 90 * 365 * DAY)

        def value() -> Any:
            return campaign.audience_filter if field == "audience" else getattr(campaign, field)

        before = value()
        if field in CHANGEABLE[status]:
            services.campaign_update(campaign=campaign, by=alice, **{field: VALUES[field]})
            expected = VALUES[field]
        else:
            with pytest.raises(Conflict, match=field):
                services.campaign_update(campaign=campaign, by=alice, **{field: VALUES[field]})
            expected = before
        campaign.refresh_from_db()
        assert value() == expected

    @pytest.mark.parametrize("status", CampaignStatus.values)
    def test_equal_values_are_no_change(self, alice: User, status: str) -> None:
        campaign = in_state(alice, status, audience=Audience(tags=("vip",)), window=(time(9), time(21)))
        same = {name: getattr(campaign, name) for name in VALUES if name != "audience"}
        services.campaign_update(campaign=campaign, by=alice, audience=campaign.audience_filter, **same)
        campaign.refresh_from_db()
        assert {name: getattr(campaign, name) for name in same} == same

    def test_one_forbidden_field_changes_nothing(self, alice: User) -> None:
        campaign = in_state(alice, "running")
        with pytest.raises(Conflict):
            services.campaign_update(campaign=campaign, by=alice, name="New", text="New")
        campaign.refresh_from_db()
        assert campaign.name != "New"

    def test_a_window_can_be_removed(self, alice: User) -> None:
        campaign = in_state(alice, "running", window=(time(9), time(21)))
        assert services.campaign_update(campaign=campaign, by=alice, window=None).window is None

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("ends_at", datetime(2000, 1, 1, tzinfo=UTC)),
            ("window", (time(9), time(9))),
            ("rate_limit", 0.0),
            ("name", ""),
        ],
    )
    def test_invalid_values_are_refused(self, alice: User, field: str, value: Any) -> None:
        campaign = in_state(alice, "running")
        with pytest.raises(ValidationError) as refused:
            services.campaign_update(campaign=campaign, by=alice, **{field: value})
        assert errors_of(refused) == {field}

    def test_only_its_creator_or_an_administrator_may(self, alice: User, bob: User, admin: User) -> None:
        campaign = factories.campaign(alice)
        with pytest.raises(PermissionDenied):
            services.campaign_update(campaign=campaign, by=bob, name="Bob’s")
        assert services.campaign_update(campaign=campaign, by=admin, name="Admin’s").name == "Admin’s"

    def test_a_new_window_replans_unsent_messages(self, alice: User) -> None:
        with time_machine.travel(datetime(2026, 6, 1, 9, tzinfo=UTC), tick=False):  # noon in Moscow
            factories.contact(alice, timezone="Europe/Moscow")
            campaign = in_state(alice, "running", ends_at=now() + 2 * DAY)
            campaign_advance(campaign.pk)
            services.campaign_update(campaign=campaign, by=alice, window=(time(18), time(19)))
            campaign_advance(campaign.pk)
            assert Message.objects.get().due_at == datetime(2026, 6, 1, 15, tzinfo=UTC)
            services.campaign_update(campaign=campaign, by=alice, window=None)
            campaign_advance(campaign.pk)
            assert Message.objects.get().due_at == now()

    def test_a_new_window_costs_a_constant_number_of_queries(self, alice: User) -> None:
        campaign = in_state(alice, "running")
        counts = []
        for number, opens in ((1, 8), (30, 9)):
            for _ in range(number):
                factories.contact(alice)
            campaign_advance(campaign.pk)
            with CaptureQueriesContext(connection) as queries:
                services.campaign_update(campaign=campaign, by=alice, window=(time(opens), time(20)))
            counts.append(len(queries))
            assert not any(Message._meta.db_table in query["sql"] for query in queries)
        assert counts[0] == counts[1]

    def test_a_new_audience_is_matched_against_the_whole_directory(self, alice: User) -> None:
        factories.contact(alice, tags=("old",))
        campaign = in_state(alice, "paused", audience=Audience(tags=("new",)))
        run = Run.objects.create(campaign=campaign, occurrence=campaign.starts_at)
        with time_machine.travel(now() + HOUR / 2):
            assert freeze(run) == 0
            services.campaign_update(campaign=campaign, by=alice, audience=Audience(tags=("old",)))
            assert freeze(Run.objects.get(pk=run.pk)) == 1


def test_renaming_a_tag_keeps_concurrent_changes(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (factories.campaign(alice, audience=Audience(tags=("old",))) for _ in range(2))

    def changed_by_somebody(campaign: Campaign) -> None:
        if campaign == first:
            Campaign.objects.filter(pk=second.pk).update(audience=Audience(tags=("old", "more")).to_json())

    monkeypatch.setattr(services, "_leave_hint", changed_by_somebody)
    services.rename_tag_in_campaigns(old="old", new="new")
    found = {campaign.pk: set(campaign.audience_filter.tags) for campaign in Campaign.objects.all()}
    assert found == {first.pk: {"new"}, second.pk: {"new", "more"}}


def test_the_refusal_of_a_duplicate_does_not_disclose_another_users_text(alice: User, bob: User) -> None:
    campaign = factories.campaign(alice, text="Secret offer")
    with pytest.raises(Conflict, match="conflicts with an unfinished campaign of another user"):
        factories.campaign(bob, text=campaign.text)
    with pytest.raises(Conflict, match="same text"):
        factories.campaign(alice, text=campaign.text)


@pytest.fixture
def kannel(db: None) -> Gateway:
    """A gateway that allows two sender names."""
    senders = [{"name": "Vestnik", "countries": ["RU"]}, {"name": "Shop", "countries": []}]
    return Gateway.objects.create(name="second", kind="kannel", senders=senders)


class TestSender:
    def test_it_is_checked_with_its_gateway(self, alice: User, kannel: Gateway) -> None:
        campaign = factories.campaign(alice, draft=True, gateway=kannel, sender="Vestnik")
        for changes in ({"sender": "Other"}, {"gateway": None}):
            with pytest.raises(ValidationError) as refused:
                services.campaign_update(campaign=campaign, by=alice, **changes)
            assert refused.value.message_dict.keys() == {"sender"}
        services.campaign_update(campaign=campaign, by=alice, gateway=None, sender=None)
        services.campaign_update(campaign=campaign, by=alice, gateway=kannel, sender="Shop")
        campaign.refresh_from_db()
        assert (campaign.gateway_id, campaign.sender) == ("second", "Shop")

    def test_it_is_fixed_by_the_start(self, alice: User, kannel: Gateway) -> None:
        campaign = factories.campaign(alice, gateway=kannel, sender="Vestnik")
        campaign_advance(campaign.pk)
        with pytest.raises(Conflict, match="sender"):
            services.campaign_update(campaign=campaign, by=alice, sender="Shop")

    def test_a_name_that_is_no_longer_allowed_prevents_the_launch_but_no_other_change(
        self, alice: User, kannel: Gateway
    ) -> None:
        campaign = factories.campaign(alice, draft=True, gateway=kannel, sender="Vestnik")
        Gateway.objects.update(senders=[])
        services.campaign_update(campaign=campaign, by=alice, name="Renamed")
        campaign.refresh_from_db()
        with pytest.raises(ValidationError, match="no sender names"):
            services.campaign_launch(campaign=campaign, by=alice)
        with pytest.raises(ValidationError, match="no sender names"):
            services.campaign_test(campaign=campaign, by=alice, phone=79161234567)
        assert services.campaign_duplicate(campaign=campaign, by=alice).sender is None

    def test_a_copy_has_it_and_it_makes_no_difference_to_duplicates(self, alice: User, kannel: Gateway) -> None:
        campaign = factories.campaign(alice, gateway=kannel, sender="Vestnik")
        assert services.campaign_duplicate(campaign=campaign, by=alice).sender == "Vestnik"
        with pytest.raises(Conflict):
            factories.campaign(alice, text=campaign.text, gateway=kannel, sender="Shop")
