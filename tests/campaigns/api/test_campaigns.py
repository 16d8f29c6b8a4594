from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from accounts.models import User
from accounts.optimistic_locking import version_of
from campaigns.models import Attempt, Campaign, Gateway, Message, Price, Run
from campaigns.planning.recipients import freeze
from campaigns.states import CampaignStatus, MessageStatus
from directory.audiences.audience import Audience
from directory.audiences.services import audience_save
from tests import factories
from tests.conftest import ApiClient

JSON = "application/json"
DAY = timedelta(days=1)
BODY: dict[str, Any] = {
    "name": "Осенняя распродажа",
    "text": "Привет, {first_name|друг}!",
    "audience": {
        "operator_codes": ["999", "903"],
        "tags": ["VIP"],
        "tags_match": "all",
        "timezones": ["Europe/Moscow"],
        "countries": ["RU"],
    },
    "starts_at": "2098-09-01T10:00:00+03:00",
    "ends_at": "2098-09-30T21:00:00+03:00",
    "local_time": True,
    "window": {"start": "09:00", "end": "21:00"},
    "repeat": "weekly",
    "rate_limit": 12.5,
}
EVERYONE: dict[str, Any] = {
    "operator_codes": [],
    "tags": [],
    "tags_match": "any",
    "timezones": [],
    "countries": [],
}
SHORT = {"name": "Sale", "text": "Sale", "ends_at": "2099-01-01T00:00:00Z"}


def post(client: ApiClient, path: str = "/campaigns", **body: Any) -> Any:
    return client.post(path, body, content_type=JSON)


def patch(client: ApiClient, campaign: Campaign, **body: Any) -> Any:
    return client.patch(f"/campaigns/{campaign.pk}", body, content_type=JSON)


def call(client: ApiClient, method: str, path: str) -> Any:
    """Make a call, with an empty body where one is needed."""
    return client.get(path) if method == "get" else getattr(client, method)(path, "{}", content_type=JSON)


def put_into(status: str, campaign: Campaign) -> Campaign:
    Campaign.objects.filter(pk=campaign.pk).update(status=status)
    campaign.refresh_from_db()
    return campaign


def sent_campaign(owner: User, contacts: int = 2) -> Campaign:
    """A running campaign with messages."""
    for _ in range(contacts):
        factories.contact(owner)
    campaign = put_into("running", factories.campaign(owner))
    freeze(Run.objects.create(campaign=campaign, occurrence=campaign.starts_at))
    return campaign


class TestCreate:
    def test_the_response_follows_the_contract_and_reads_back_the_same(self, alice: User) -> None:
        answer = post(ApiClient(alice), **BODY)
        assert answer.status_code == 201, answer.content
        body, row = answer.json(), Campaign.objects.get()
        times = {name: body.pop(name) for name in ("starts_at", "ends_at", "created_at", "updated_at")}
        assert all(value.endswith(("Z", "+00:00")) for value in times.values())
        for name in ("starts_at", "ends_at"):
            assert datetime.fromisoformat(times[name]) == getattr(row, name) == datetime.fromisoformat(BODY[name])
        assert body == {
            **{name: BODY[name] for name in ("name", "text", "local_time", "window", "repeat", "rate_limit")},
            "budget": None,
            "budget_reached_at": None,
            "audience": {**BODY["audience"], "operator_codes": ["903", "999"], "tags": ["vip"]},
            "id": row.pk,
            "status": "scheduled",
            "owner": alice.pk,
            "finished_at": None,
            "gateway": None,
            "sender": None,
            "version": version_of(row),
        }
        assert ApiClient(alice).get(f"/campaigns/{row.pk}").json() == {**body, **times}

    def test_most_fields_are_optional(self, alice: User) -> None:
        body = post(ApiClient(alice), **SHORT).json()
        assert body["audience"] == EVERYONE
        assert (body["repeat"], body["local_time"], body["window"], body["rate_limit"]) == ("once", False, None, None)
        assert (body["status"], datetime.fromisoformat(body["starts_at"]) <= now()) == ("scheduled", True)

    def test_null_means_omitted(self, alice: User) -> None:
        body = post(ApiClient(alice), **SHORT, starts_at=None, window=None, rate_limit=None).json()
        assert (body["window"], body["rate_limit"]) == (None, None)

    def test_the_sender_is_one_that_the_gateway_allows(self, alice: User) -> None:
        Gateway.objects.create(name="second", kind="kannel", senders=[{"name": "Vestnik", "countries": ["RU"]}])
        client = ApiClient(alice)
        body = post(client, **SHORT, gateway="second", sender="Vestnik").json()
        assert body["sender"] == client.get(f"/campaigns/{body['id']}").json()["sender"] == "Vestnik"
        for draft in ("draft", "scheduled"):
            refused = post(client, **{**SHORT, "text": draft}, gateway="second", sender="Shop", status=draft)
            assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (422, ["body", "sender"])
            assert "It allows: Vestnik" in refused.json()["detail"][0]["msg"]
        assert post(client, **{**SHORT, "text": "Other"}, sender="Vestnik").status_code == 422

    def test_a_draft_is_not_started(self, alice: User) -> None:
        assert post(ApiClient(alice), **SHORT, status="draft").json()["status"] == "draft"

    def test_a_time_without_offset_is_read_in_the_users_zone(self, db: None) -> None:
        user = factories.user(timezone="Asia/Vladivostok")
        body = post(ApiClient(user), **SHORT, starts_at="2098-06-01T10:00").json()
        assert datetime.fromisoformat(body["starts_at"]) == datetime(2098, 6, 1, tzinfo=UTC)

    def test_a_duplicate_is_a_conflict(self, alice: User, bob: User) -> None:
        post(ApiClient(alice), **SHORT)
        answers = [post(ApiClient(user), **{**SHORT, "name": "Another name"}) for user in (alice, bob)]
        assert [answer.status_code for answer in answers] == [409, 409]
        assert ["already exists" in answer.json()["detail"] for answer in answers] == [True, False]

    @pytest.mark.parametrize("text", ["Sale\r\ntoday", "Sale \ntoday", "\n Sale\rtoday \u00a0\n"])
    def test_duplicates_are_compared_by_normalised_text(self, alice: User, text: str) -> None:
        body = post(ApiClient(alice), **{**SHORT, "text": text}).json()
        assert body["text"] == "Sale\ntoday"
        assert post(ApiClient(alice), **{**SHORT, "text": "Sale\ntoday"}).status_code == 409

    def test_the_length_is_that_of_the_normalised_text(self, alice: User) -> None:
        assert post(ApiClient(alice), **{**SHORT, "text": "a\r\n" * 799 + "a "}).status_code == 201

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("ends_at", "2020-01-01T00:00:00Z"),
            ("ends_at", None),
            ("starts_at", "2099-02-01T00:00:00Z"),
            ("starts_at", "1798790400"),
            ("starts_at", "1798790400.5"),
            ("ends_at", "4070908800"),
            ("text", "\u200b\u2060\ufeff"),
            ("text", "\u3164 \u2800\ufe0f"),
            ("window", {"start": "09:00", "end": "09:00"}),
            ("window", {"start": "09:00"}),
            ("window", {"start": "09:00+03:00", "end": "21:00"}),
            ("window", {"start": "09:00:30", "end": "21:00"}),
            ("window", "09:00-21:00"),
            ("repeat", "hourly"),
            ("rate_limit", 0),
            ("rate_limit", 1e9),
            ("name", " "),
            ("text", " "),
            ("text", "x" * 1601),
            ("audience", {"operator_codes": ["9"]}),
            ("audience", {"tags_match": "none"}),
            ("audience", {"tag": ["vip"]}),
            ("audience", None),
            ("status", "running"),
            ("owner", 1),
            ("nmae", "Sale"),
        ],
        ids=repr,
    )
    def test_an_invalid_field_is_named(self, alice: User, field: str, value: Any) -> None:
        answer = post(ApiClient(alice), **{**SHORT, field: value})
        assert answer.status_code == 422, answer.content
        named = {part for error in answer.json()["detail"] for part in error["loc"]}
        assert field in named or (field == "starts_at" and "ends_at" in named)
        assert not Campaign.objects.exists()


CHANGES: dict[str, Any] = {
    "name": "Другое имя",
    "text": "Другой текст",
    "audience": {**EVERYONE, "tags": ["new"]},
    "starts_at": "2098-01-01T00:00:00Z",
    "ends_at": "2099-06-01T00:00:00Z",
    "local_time": True,
    "window": {"start": "22:30", "end": "06:00"},
    "repeat": "monthly",
    "rate_limit": 0.5,
}

FILTERS: dict[str, Any] = {
    "operator_codes": ["903", "999"],
    "tags": ["new", "vip"],
    "tags_match": "any",
    "timezones": ["Europe/Moscow"],
    "countries": ["KZ", "RU"],
    "tags_none": ["staff"],
    "attributes": [{"name": "city", "match": "equals", "value": "Omsk"}],
    "written": {"when": "not_within", "days": 30},
}
CHANGED_FILTERS: dict[str, Any] = {
    "operator_codes": ["901"],
    "tags": ["loyal"],
    "tags_match": "all",
    "timezones": ["Asia/Omsk"],
    "countries": [],
    "tags_none": ["test"],
    "attributes": [{"name": "city", "match": "exists", "value": ""}],
    "written": {"when": "never", "days": 0},
}


class TestPatch:
    @pytest.mark.parametrize("field", CHANGES)
    def test_a_patch_changes_only_the_given_fields(self, alice: User, field: str) -> None:
        campaign = factories.campaign(alice, ends_at=now() + 75 * 365 * DAY)
        before = ApiClient(alice).get(f"/campaigns/{campaign.pk}").json()
        answer = patch(ApiClient(alice), campaign, **{field: CHANGES[field]})
        assert answer.status_code == 200, answer.content
        changed = {name for name, value in answer.json().items() if value != before[name]}
        assert changed == {field, "updated_at", "version"}
        assert answer.json()[field] == CHANGES[field]

    @pytest.mark.parametrize("status", ["scheduled", "running", "paused", "finished", "cancelled"])
    def test_what_was_read_can_be_sent_back(self, alice: User, status: str) -> None:
        campaign, client = put_into(status, factories.campaign(alice, starts_at=None)), ApiClient(alice)
        read = client.get(f"/campaigns/{campaign.pk}").json()
        assert patch(client, campaign).status_code == 200
        assert patch(client, campaign, **{name: read[name] for name in CHANGES if name != "ends_at"}).status_code == 200

    def test_an_optional_field_can_be_removed(self, alice: User) -> None:
        campaign = Campaign.objects.get(pk=post(ApiClient(alice), **BODY).json()["id"])
        body = patch(ApiClient(alice), campaign, window=None, rate_limit=None).json()
        assert (body["window"], body["rate_limit"]) == (None, None)

    @pytest.mark.parametrize(
        "field", ["name", "text", "audience", "starts_at", "ends_at", "local_time", "repeat", "status"]
    )
    def test_a_required_field_cannot_be_removed(self, alice: User, field: str) -> None:
        assert patch(ApiClient(alice), factories.campaign(alice), **{field: None}).status_code == 422

    @pytest.mark.parametrize("field", FILTERS)
    def test_a_filter_that_is_not_given_stays(self, alice: User, field: str) -> None:
        campaign = Campaign.objects.get(pk=post(ApiClient(alice), **{**BODY, "audience": FILTERS}).json()["id"])
        changed = CHANGED_FILTERS[field]
        answer = patch(ApiClient(alice), campaign, audience={field: changed})
        assert answer.json()["audience"] == {**FILTERS, field: changed}
        assert patch(ApiClient(alice), campaign, audience={}).json()["audience"] == {**FILTERS, field: changed}

    def test_a_filter_is_cleared_by_an_empty_value(self, alice: User) -> None:
        campaign = Campaign.objects.get(pk=post(ApiClient(alice), **{**BODY, "audience": FILTERS}).json()["id"])
        answer = patch(ApiClient(alice), campaign, audience={"tags": [], "written": None})
        left = {name: value for name, value in FILTERS.items() if name != "written"}
        assert answer.json()["audience"] == {**left, "tags": []}

    def test_a_saved_audience_replaces_all_filters(self, alice: User) -> None:
        saved = audience_save(by=alice, name="VIP", audience=Audience(tags=("vip",)))
        campaign = Campaign.objects.get(pk=post(ApiClient(alice), **{**BODY, "audience": FILTERS}).json()["id"])
        answer = patch(ApiClient(alice), campaign, audience={"saved": saved.pk})
        assert answer.json()["audience"] == {**EVERYONE, "tags": ["vip"]}

    def test_a_change_that_the_status_forbids_is_a_conflict(self, alice: User) -> None:
        campaign = put_into("running", factories.campaign(alice))
        answer = patch(ApiClient(alice), campaign, text="Another")
        assert (answer.status_code, "text" in answer.json()["detail"]) == (409, True)
        assert patch(ApiClient(alice), campaign, name="Another").status_code == 200

    def test_a_status_launches_and_withdraws(self, alice: User) -> None:
        campaign, client = factories.campaign(alice, draft=True), ApiClient(alice)
        for status in ("draft", "scheduled", "scheduled", "draft"):
            assert patch(client, campaign, status=status).json()["status"] == status

    @pytest.mark.parametrize("status", ["running", "paused", "finished", "cancelled"])
    @pytest.mark.parametrize("target", ["draft", "scheduled"])
    def test_other_statuses_cannot_be_changed_this_way(self, alice: User, status: str, target: str) -> None:
        campaign = put_into(status, factories.campaign(alice))
        assert patch(ApiClient(alice), campaign, status=target).status_code == 409

    def test_all_or_none_of_several_changes_are_made(self, alice: User) -> None:
        factories.campaign(alice, text="Sale")
        draft = factories.campaign(alice, text="Other", draft=True)
        assert patch(ApiClient(alice), draft, name="New", text="Sale", status="scheduled").status_code == 409
        draft.refresh_from_db()
        assert (draft.text, draft.name == "New") == ("Other", False)


class TestActions:
    @pytest.mark.parametrize(
        ("action", "status", "expected"),
        [("pause", "running", "paused"), ("resume", "paused", "running"), ("cancel", "scheduled", "cancelled")],
    )
    def test_it_answers_with_the_campaign(self, alice: User, action: str, status: str, expected: str) -> None:
        campaign, client = put_into(status, factories.campaign(alice)), ApiClient(alice)
        answer = post(client, f"/campaigns/{campaign.pk}/{action}")
        assert (answer.status_code, answer.json()["status"]) == (200, expected)
        again = post(client, f"/campaigns/{campaign.pk}/{action}")
        assert (again.status_code, bool(again.json()["detail"])) == (409, True)

    def test_a_copy_is_a_new_draft(self, alice: User) -> None:
        campaign = factories.campaign(alice)
        answer = post(ApiClient(alice), f"/campaigns/{campaign.pk}/duplicate")
        assert (answer.status_code, answer.json()["status"]) == (201, "draft")
        assert answer.json()["id"] != campaign.pk

    def test_a_deleted_campaign_is_hidden_and_its_messages_stay(self, alice: User) -> None:
        campaign, client = sent_campaign(alice), ApiClient(alice)
        assert client.delete(f"/campaigns/{campaign.pk}").status_code == 204
        assert client.get("/campaigns").json()["items"] == []
        for path in ("", "/stats", "/messages"):
            assert client.get(f"/campaigns/{campaign.pk}{path}").status_code == 404
        assert client.delete(f"/campaigns/{campaign.pk}").status_code == 404
        assert Message.objects.count() == 2


def calls(campaign: Campaign) -> list[tuple[str, str]]:
    """All calls on a campaign and on one of its messages."""
    one, message = f"/campaigns/{campaign.pk}", Message.objects.filter(run__campaign=campaign).first()
    posts = [("post", f"{one}/{action}") for action in ("pause", "resume", "cancel", "retry-failed", "duplicate")]
    reads = [
        ("get", path) for path in (one, f"{one}/stats", f"{one}/messages", f"/messages/{message.pk if message else 0}")
    ]
    return [*reads, ("patch", one), *posts, ("delete", one)]


class TestAccess:
    def test_every_call_needs_a_token(self, alice: User) -> None:
        everything = [
            *calls(sent_campaign(alice)),
            ("get", "/campaigns"),
            ("post", "/campaigns"),
            ("post", "/campaigns/preview"),
        ]
        for method, path in everything:
            assert call(ApiClient(), method, path).status_code == 401, path

    def test_another_users_campaign_is_forbidden_and_an_administrator_sees_all(
        self, alice: User, bob: User, admin: User
    ) -> None:
        for method, path in calls(sent_campaign(alice)):
            answer = call(ApiClient(bob), method, path)
            assert (answer.status_code, bool(answer.json()["detail"])) == (403, True), path
            answer = call(ApiClient(admin), method, path)
            assert answer.status_code in (200, 201, 204, 409), path  # 409: nothing failed that could be retried

    def test_missing_objects_are_not_found(self, alice: User) -> None:
        nowhere = [(method, path.replace("/0", "/999999")) for method, path in calls(Campaign(pk=999999))]
        for method, path in nowhere:
            answer = call(ApiClient(alice), method, path)
            assert answer.status_code == 404, path

    def test_the_list_has_all_campaigns_without_texts(self, alice: User, bob: User) -> None:
        campaign = factories.campaign(alice, text="A secret offer")
        answer = ApiClient(bob).get("/campaigns")
        (item,) = answer.json()["items"]
        names = {"id", "name", "status", "owner", "starts_at", "ends_at", "repeat", "created_at"}
        assert set(item) == names
        assert (item["id"], item["owner"]) == (campaign.pk, alice.pk)
        assert b"secret" not in answer.content


class TestFigures:
    def test_stats_add_up(self, alice: User) -> None:
        campaign = sent_campaign(alice, 3)
        body = ApiClient(alice).get(f"/campaigns/{campaign.pk}/stats").json()
        assert set(body) == {
            "total",
            "by_status",
            "cost",
            "currency",
            "attempts",
            "parts",
            "rate",
            "started_at",
            "finished_at",
            "eta",
            "runs",
        }
        assert set(body["by_status"]) == set(MessageStatus.values)
        assert (body["total"], sum(body["by_status"].values()), body["by_status"]["pending"]) == (3, 3, 3)
        (run,) = body["runs"]
        assert (run["total"], sum(run["by_status"].values())) == (3, 3)
        assert datetime.fromisoformat(run["planned_for"]) == campaign.starts_at

    def test_messages_are_narrowed_by_status(self, alice: User) -> None:
        campaign, client = sent_campaign(alice, 3), ApiClient(alice)
        Message.objects.filter(pk=(first := Message.objects.earliest("pk")).pk).update(
            status="failed", phone=79031112233
        )
        failed = client.get(f"/campaigns/{campaign.pk}/messages", {"status": "failed"}).json()["items"]
        assert [(item["id"], item["phone"], item["campaign"]) for item in failed] == [
            (first.pk, "79031112233", campaign.pk)
        ]
        pending = client.get(f"/campaigns/{campaign.pk}/messages", {"status": "pending"}).json()["items"]
        assert [item["phone"] for item in pending] == [
            str(message.recipient) for message in Message.objects.filter(status="pending").order_by("-pk")
        ]
        assert "text" not in pending[0]
        assert client.get(f"/campaigns/{campaign.pk}/messages", {"status": "lost"}).status_code == 422

    def test_a_message_comes_with_its_failures_oldest_first(self, alice: User) -> None:
        campaign = sent_campaign(alice, 1)
        message = Message.objects.get()
        with time_machine.travel(now(), tick=False):
            for minutes in (3, 1, 2):
                at = now() + timedelta(minutes=minutes)
                Attempt.objects.create(message=message, at=at, reason=f"http_50{minutes}", http_status=500 + minutes)
        body = ApiClient(alice).get(f"/messages/{message.pk}").json()
        assert (body["id"], body["campaign"], body["status"], body["text"]) == (message.pk, campaign.pk, "pending", "")
        assert [failure["http_status"] for failure in body["failures"]] == [501, 502, 503]

    def test_a_preview_stores_nothing(self, alice: User) -> None:
        factories.contact(alice, phone=79991234567, tags=("vip",), first_name="Анна")
        answer = post(ApiClient(alice), "/campaigns/preview", **BODY)
        assert answer.json() == {
            "recipients": 1,
            "encoding": "UCS-2",
            "characters": 13,
            "parts": 1,
            "total_parts": 1,
            "samples": [{"phone": "79991234567", "name": "Анна", "text": "Привет, Анна!", "parts": 1}],
            "cost": None,
            "currency": "RUB",
            "costs": [],
            "unpriced": 0,
            "unreachable": 0,
        }
        assert post(ApiClient(alice), "/campaigns/preview", text="Hi").json()["recipients"] == 1
        assert not Campaign.objects.exists()

    def test_a_preview_tells_the_cost(self, alice: User) -> None:
        factories.contact(alice, phone=79991234567)
        factories.contact(alice, phone=77010001234)
        Price.objects.create(gateway="probe", area="RU", price=Decimal("0.0075"), valid_from=date(2026, 1, 1))
        told = post(ApiClient(alice), "/campaigns/preview", text="a" * 161).json()
        assert (told["cost"], told["unpriced"], told["unreachable"]) == ("0.015", 1, 0)
        assert told["costs"] == [{"country": "RU", "gateway": "probe", "recipients": 1, "parts": 2, "cost": "0.015"}]
        unknown = post(ApiClient(alice), "/campaigns/preview", text="Hi", gateway="nobody")
        assert unknown.status_code == 422


class TestLists:
    def test_pages_follow_each_other_without_gap_or_repeat(self, alice: User) -> None:
        created = [factories.campaign(alice).pk for _ in range(7)]
        client, seen, cursor = ApiClient(alice), list[int](), None
        while True:
            body = client.get("/campaigns", {"limit": 3} | ({"cursor": cursor} if cursor else {})).json()
            seen += [item["id"] for item in body["items"]]
            cursor = body["next"]
            if cursor is None:
                break
            factories.campaign(alice)
        assert seen == created[::-1]

    @pytest.mark.parametrize(
        "path", ["/campaigns", "/campaigns/{}/messages", "/campaigns/{}/stats", "/messages/{message}"]
    )
    def test_a_response_costs_a_constant_number_of_queries(self, alice: User, path: str) -> None:
        client, counts = ApiClient(alice), []
        client.get("/campaigns")
        for number in (2, 20):
            campaign = sent_campaign(alice, number)
            message = Message.objects.filter(run__campaign=campaign).latest("pk")
            Attempt.objects.bulk_create(Attempt(message=message, at=now(), reason="reset") for _ in range(number))
            with CaptureQueriesContext(connection) as queries:
                assert client.get(path.format(campaign.pk, message=message.pk)).status_code == 200
            counts.append(len(queries))
        assert counts[0] == counts[1] <= 5


def test_the_schema_lists_every_error_and_status(alice: User) -> None:
    schema = ApiClient(alice).get("/openapi.json").json()
    answers = schema["paths"]["/api/v1/campaigns/{campaign_id}"]["patch"]["responses"]
    assert set(answers) == {"200", "400", "401", "403", "404", "409", "412", "413", "422", "429"}
    assert schema["components"]["schemas"]["CampaignStatus"]["enum"] == CampaignStatus.values
