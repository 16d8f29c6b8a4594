"""Single messages in the JSON API: transactional ones, tests, and resolution of unknown ones."""

from typing import Any

import pytest

from accounts.models import User
from campaigns.messages.transactional import message_send
from campaigns.models import Campaign, Gateway, Message
from campaigns.planning.lifecycle import campaign_advance
from campaigns.states import MessageStatus
from tests import factories
from tests.campaigns.api.test_garbage import BODIES, STRANGE
from tests.campaigns.engine import statuses
from tests.campaigns.outcomes import settle, started
from tests.conftest import ApiClient

JSON = "application/json"
RESOLUTIONS = [("resend", {}), ("retry", {}), ("mark", {"status": "sent"}), ("mark", {"status": "failed"})]
ACTIONS = ("resend", "retry", "sent", "failed")


def post(client: ApiClient, path: str, **body: Any) -> Any:
    return client.post(path, body, content_type=JSON)


@pytest.fixture
def unknown_message(alice: User) -> Message:
    """A message of a running campaign that was stopped after three leases without an outcome."""
    _campaign, run = started(alice, contacts=1)
    return settle(run, 1, MessageStatus.UNKNOWN, "quarantined")[0]


@pytest.fixture
def kannel(db: None) -> Gateway:
    """A gateway that allows sender names."""
    senders = [{"name": "Shop", "countries": []}, {"name": "Vestnik", "countries": ["RU"]}]
    return Gateway.objects.create(name="second", kind="kannel", senders=senders)


class TestSender:
    def test_one_that_the_gateway_allows_for_the_phone(self, alice: User, kannel: Gateway) -> None:
        client, body = ApiClient(alice), {"text": "Hello", "gateway": "second"}
        answer = post(client, "/messages", **body, phone="79161234567", sender="Vestnik")
        assert answer.status_code == 202, answer.content
        assert client.get(f"/messages/{answer.json()['id']}").json()["sender"] == "Vestnik"
        usual = post(client, "/messages", **body, phone="79161234567").json()["id"]
        assert client.get(f"/messages/{usual}").json()["sender"] is None

    @pytest.mark.parametrize(
        ("phone", "changes", "reason"),
        [
            ("79161234567", {"sender": "Other"}, "It allows: Shop, Vestnik"),
            ("77011234567", {"sender": "Vestnik"}, "in the phone’s country"),
            ("79161234567", {"sender": "Shop", "gateway": None}, "has no sender names"),
            ("79161234567", {"sender": ""}, "at least 3"),
            ("79161234567", {"sender": 12345}, "valid string"),
        ],
    )
    def test_any_other_is_refused(
        self, alice: User, kannel: Gateway, phone: str, changes: dict[str, Any], reason: str
    ) -> None:
        body = {"text": "Hello", "gateway": "second", "phone": phone, **changes}
        answer = post(ApiClient(alice), "/messages", **body)
        assert answer.status_code == 422
        [error] = answer.json()["detail"]
        assert (error["loc"], reason in error["msg"]) == (["body", "sender"], True), error
        assert not Message.objects.exists()


class TestTest:
    def test_it_answers_at_once_and_can_be_read_until_it_is_sent(self, alice: User) -> None:
        campaign = factories.campaign(alice, text="Hello {first_name|friend}", draft=True)
        client = ApiClient(alice)
        answer = post(client, f"/campaigns/{campaign.pk}/test", phone="8 (999) 123-45-67")
        assert answer.status_code == 202, answer.content
        assert answer.json() == {"id": Message.objects.get().pk, "status": "pending"}
        data = client.get(f"/messages/{answer.json()['id']}").json()
        assert (data["phone"], data["text"], data["status"]) == ("79991234567", "Hello friend", "pending")
        assert (data["campaign"], data["run"], data["contact"]) == (None, None, None)

    def test_it_has_the_campaigns_sender(self, alice: User, kannel: Gateway) -> None:
        campaign = factories.campaign(alice, draft=True, gateway=kannel, sender="Vestnik")
        answer = post(ApiClient(alice), f"/campaigns/{campaign.pk}/test", phone="79991234567")
        assert ApiClient(alice).get(f"/messages/{answer.json()['id']}").json()["sender"] == "Vestnik"

    def test_transactional_messages_are_in_no_list_or_figure_of_campaigns(self, alice: User) -> None:
        campaign, client = factories.campaign(alice, draft=True), ApiClient(alice)
        post(client, f"/campaigns/{campaign.pk}/test", phone="79991234567")
        hidden = Campaign.objects.get(transactional=True)
        assert [item["id"] for item in client.get("/campaigns").json()["items"]] == [campaign.pk]
        assert client.get(f"/campaigns/{campaign.pk}/stats").json()["total"] == 0
        assert client.get(f"/campaigns/{campaign.pk}/messages").json()["items"] == []
        assert client.get(f"/campaigns/{hidden.pk}").status_code == 404
        figures = client.get("/stats").json()
        assert (sum(figures["campaigns"]["by_status"].values()), figures["messages"]["by_status"]["pending"]) == (1, 1)
        assert [item["id"] for item in figures["items"]] == [campaign.pk]

    @pytest.mark.parametrize("phone", [*STRANGE, "12345", "+1 202 555 0100"], ids=ascii)
    def test_an_invalid_phone_is_reported_at_its_field(self, alice: User, phone: object) -> None:
        answer = post(ApiClient(alice), f"/campaigns/{factories.campaign(alice).pk}/test", phone=phone)
        assert answer.status_code == 422
        assert [item["loc"] for item in answer.json()["detail"]] == [["body", "phone"]]

    def test_an_opted_out_phone_is_refused(self, alice: User) -> None:
        factories.contact(alice, phone=79991234567, opted_out=True)
        answer = post(ApiClient(alice), f"/campaigns/{factories.campaign(alice).pk}/test", phone="79991234567")
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"] == ["body", "phone"]

    @pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
    def test_strange_bodies_are_handled(self, alice: User, unknown_message: Message, body: str | bytes) -> None:
        one = f"/campaigns/{unknown_message.run.campaign_id}"
        for path in (f"{one}/test", f"{one}/unknown", f"/messages/{unknown_message.pk}/mark"):
            answer = ApiClient(alice).post(path, body, content_type=JSON)
            assert answer.status_code in (400, 422), path

    def test_it_is_for_the_creator_and_administrators(self, alice: User, bob: User, admin: User) -> None:
        path = f"/campaigns/{factories.campaign(alice, draft=True).pk}/test"
        assert post(ApiClient(), path, phone="79991234567").status_code == 401
        assert post(ApiClient(bob), path, phone="79991234567").status_code == 403
        answer = post(ApiClient(admin), path, phone="79991234567")
        assert answer.status_code == 202
        assert ApiClient(alice).get(f"/messages/{answer.json()['id']}").status_code == 403

    def test_a_deleted_campaign_is_not_found(self, alice: User) -> None:
        campaign, client = factories.campaign(alice), ApiClient(alice)
        client.delete(f"/campaigns/{campaign.pk}")
        assert post(client, f"/campaigns/{campaign.pk}/test", phone="79991234567").status_code == 404


class TestResolution:
    def test_a_message_is_resent_as_a_new_one(self, alice: User, unknown_message: Message) -> None:
        client = ApiClient(alice)
        answer = post(client, f"/messages/{unknown_message.pk}/resend")
        assert answer.status_code == 202
        assert answer.json()["status"] == "pending"
        assert client.get(f"/messages/{answer.json()['id']}").json()["resend_of"] == unknown_message.pk
        assert client.get(f"/messages/{unknown_message.pk}").json()["reason"] == "resent"

    def test_a_message_is_retried(self, alice: User, unknown_message: Message) -> None:
        answer = post(ApiClient(alice), f"/messages/{unknown_message.pk}/retry")
        assert (answer.status_code, answer.json()) == (202, {"id": unknown_message.pk, "status": "pending"})

    @pytest.mark.parametrize("status", ["sent", "failed"])
    def test_a_message_is_marked(self, alice: User, unknown_message: Message, status: str) -> None:
        answer = post(ApiClient(alice), f"/messages/{unknown_message.pk}/mark", status=status)
        assert (answer.status_code, answer.json()) == (200, {"id": unknown_message.pk, "status": status})

    @pytest.mark.parametrize("status", ["delivered", "unknown", "pending", "", None, 1])
    def test_other_marks_are_refused(self, alice: User, unknown_message: Message, status: object) -> None:
        assert post(ApiClient(alice), f"/messages/{unknown_message.pk}/mark", status=status).status_code == 422

    @pytest.mark.parametrize(("call", "body"), RESOLUTIONS)
    def test_resolving_a_known_outcome_is_a_conflict(self, alice: User, call: str, body: dict[str, str]) -> None:
        _campaign, run = started(alice, contacts=1)
        answer = post(ApiClient(alice), f"/messages/{run.messages.get().pk}/{call}", **body)
        assert (answer.status_code, bool(answer.json()["detail"])) == (409, True)

    @pytest.mark.parametrize(("call", "body"), RESOLUTIONS)
    def test_others_may_not(self, bob: User, unknown_message: Message, call: str, body: dict[str, str]) -> None:
        path = f"/messages/{unknown_message.pk}/{call}"
        assert post(ApiClient(), path, **body).status_code == 401
        assert post(ApiClient(bob), path, **body).status_code == 403
        assert post(ApiClient(bob), f"/messages/999999/{call}", **body).status_code == 404

    @pytest.mark.parametrize("action", ACTIONS)
    def test_all_unknown_messages_are_resolved_at_once(
        self, alice: User, bob: User, unknown_message: Message, action: str
    ) -> None:
        campaign = unknown_message.run.campaign
        path = f"/campaigns/{campaign.pk}/unknown"
        assert post(ApiClient(bob), path, action=action).status_code == 403
        answer = post(ApiClient(alice), path, action=action)
        assert (answer.status_code, answer.json()["id"]) == (200, campaign.pk)
        campaign_advance(campaign.pk)
        found = {"resend": {"unknown": 1, "pending": 1}, "retry": {"pending": 1}}.get(action, {action: 1})
        assert statuses(campaign) == found
        assert post(ApiClient(alice), path, action=action).status_code == 409

    def test_a_transactional_message_can_be_resolved(self, alice: User) -> None:
        message = message_send(owner=alice, phone="79991234567", text="Hello")
        settle(message.run, 1, MessageStatus.UNKNOWN)
        answer = post(ApiClient(alice), f"/messages/{message.pk}/resend")
        assert answer.status_code == 202
        assert answer.json()["id"] != message.pk
