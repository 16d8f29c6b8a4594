"""What the JSON API does with single messages: tests, and what is made of unknown ones."""

from typing import Any

import pytest

from accounts.models import User
from campaigns.direct import message_send
from campaigns.lifecycle import campaign_advance
from campaigns.models import Campaign, Message
from campaigns.states import MessageStatus
from tests import factories
from tests.campaigns.engine import statuses
from tests.campaigns.outcomes import settle, started
from tests.campaigns.test_api_garbage import BODIES, STRANGE
from tests.conftest import ApiClient

JSON = "application/json"
REMEDIES = [("resend", {}), ("retry", {}), ("mark", {"status": "sent"}), ("mark", {"status": "failed"})]
ACTIONS = ("resend", "retry", "sent", "failed")


def post(client: ApiClient, path: str, **body: Any) -> Any:
    return client.post(path, body, content_type=JSON)


@pytest.fixture
def doubtful(alice: User) -> Message:
    """A message of a running campaign that was stopped after three leases without an outcome."""
    _campaign, run = started(alice, contacts=1)
    return settle(run, 1, MessageStatus.UNKNOWN, "quarantined")[0]


class TestTest:
    def test_it_answers_at_once_and_can_be_read_until_it_is_sent(self, alice: User) -> None:
        campaign = factories.campaign(alice, text="Hello {first_name|friend}", draft=True)
        client = ApiClient(alice)
        answer = post(client, f"/campaigns/{campaign.pk}/test", phone="8 (999) 123-45-67")
        assert answer.status_code == 202, answer.content
        assert answer.json() == {"id": Message.objects.get().pk, "status": "pending"}
        told = client.get(f"/messages/{answer.json()['id']}").json()
        assert (told["phone"], told["text"], told["status"]) == ("79991234567", "Hello friend", "pending")
        assert (told["campaign"], told["run"], told["contact"]) == (None, None, None)

    def test_no_list_and_no_figure_of_campaigns_knows_of_it(self, alice: User) -> None:
        campaign, client = factories.campaign(alice, draft=True), ApiClient(alice)
        post(client, f"/campaigns/{campaign.pk}/test", phone="79991234567")
        hidden = Campaign.objects.get(direct=True)
        assert [item["id"] for item in client.get("/campaigns").json()["items"]] == [campaign.pk]
        assert client.get(f"/campaigns/{campaign.pk}/stats").json()["total"] == 0
        assert client.get(f"/campaigns/{campaign.pk}/messages").json()["items"] == []
        assert client.get(f"/campaigns/{hidden.pk}").status_code == 404
        figures = client.get("/stats").json()
        assert (sum(figures["campaigns"]["by_status"].values()), figures["messages"]["by_status"]["pending"]) == (1, 1)
        assert [item["id"] for item in figures["items"]] == [campaign.pk]

    @pytest.mark.parametrize("phone", [*STRANGE, "12345", "+1 202 555 0100"], ids=ascii)
    def test_what_is_no_phone_is_told_beside_the_field(self, alice: User, phone: object) -> None:
        answer = post(ApiClient(alice), f"/campaigns/{factories.campaign(alice).pk}/test", phone=phone)
        assert answer.status_code == 422
        assert [item["loc"] for item in answer.json()["detail"]] == [["body", "phone"]]

    def test_who_opted_out_is_refused(self, alice: User) -> None:
        factories.contact(alice, phone=79991234567, opted_out=True)
        answer = post(ApiClient(alice), f"/campaigns/{factories.campaign(alice).pk}/test", phone="79991234567")
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"] == ["body", "phone"]

    @pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
    def test_no_strange_body_breaks_it(self, alice: User, doubtful: Message, body: str | bytes) -> None:
        one = f"/campaigns/{doubtful.run.campaign_id}"
        for path in (f"{one}/test", f"{one}/unknown", f"/messages/{doubtful.pk}/mark"):
            answer = ApiClient(alice).post(path, body, content_type=JSON)
            assert answer.status_code in (400, 422), path

    def test_it_is_for_the_creator_and_administrators(self, alice: User, bob: User, admin: User) -> None:
        path = f"/campaigns/{factories.campaign(alice, draft=True).pk}/test"
        assert post(ApiClient(), path, phone="79991234567").status_code == 401
        assert post(ApiClient(bob), path, phone="79991234567").status_code == 403
        answer = post(ApiClient(admin), path, phone="79991234567")
        assert answer.status_code == 202
        assert ApiClient(alice).get(f"/messages/{answer.json()['id']}").status_code == 403

    def test_a_deleted_campaign_is_not_there(self, alice: User) -> None:
        campaign, client = factories.campaign(alice), ApiClient(alice)
        client.delete(f"/campaigns/{campaign.pk}")
        assert post(client, f"/campaigns/{campaign.pk}/test", phone="79991234567").status_code == 404


class TestRemedies:
    def test_one_is_sent_again_as_a_new_message(self, alice: User, doubtful: Message) -> None:
        client = ApiClient(alice)
        answer = post(client, f"/messages/{doubtful.pk}/resend")
        assert answer.status_code == 202
        assert answer.json()["status"] == "pending"
        assert client.get(f"/messages/{answer.json()['id']}").json()["resend_of"] == doubtful.pk
        assert client.get(f"/messages/{doubtful.pk}").json()["reason"] == "resent"

    def test_one_is_tried_again(self, alice: User, doubtful: Message) -> None:
        answer = post(ApiClient(alice), f"/messages/{doubtful.pk}/retry")
        assert (answer.status_code, answer.json()) == (202, {"id": doubtful.pk, "status": "pending"})

    @pytest.mark.parametrize("status", ["sent", "failed"])
    def test_one_is_marked(self, alice: User, doubtful: Message, status: str) -> None:
        answer = post(ApiClient(alice), f"/messages/{doubtful.pk}/mark", status=status)
        assert (answer.status_code, answer.json()) == (200, {"id": doubtful.pk, "status": status})

    @pytest.mark.parametrize("status", ["delivered", "unknown", "pending", "", None, 1])
    def test_nobody_can_mark_it_as_anything_else(self, alice: User, doubtful: Message, status: object) -> None:
        assert post(ApiClient(alice), f"/messages/{doubtful.pk}/mark", status=status).status_code == 422

    @pytest.mark.parametrize(("call", "body"), REMEDIES)
    def test_what_is_not_unknown_is_a_conflict(self, alice: User, call: str, body: dict[str, str]) -> None:
        _campaign, run = started(alice, contacts=1)
        answer = post(ApiClient(alice), f"/messages/{run.messages.get().pk}/{call}", **body)
        assert (answer.status_code, bool(answer.json()["detail"])) == (409, True)

    @pytest.mark.parametrize(("call", "body"), REMEDIES)
    def test_others_may_not(self, bob: User, doubtful: Message, call: str, body: dict[str, str]) -> None:
        path = f"/messages/{doubtful.pk}/{call}"
        assert post(ApiClient(), path, **body).status_code == 401
        assert post(ApiClient(bob), path, **body).status_code == 403
        assert post(ApiClient(bob), f"/messages/999999/{call}", **body).status_code == 404

    @pytest.mark.parametrize("action", ACTIONS)
    def test_all_at_once(self, alice: User, bob: User, doubtful: Message, action: str) -> None:
        campaign = doubtful.run.campaign
        path = f"/campaigns/{campaign.pk}/unknown"
        assert post(ApiClient(bob), path, action=action).status_code == 403
        answer = post(ApiClient(alice), path, action=action)
        assert (answer.status_code, answer.json()["id"]) == (200, campaign.pk)
        campaign_advance(campaign.pk)
        found = {"resend": {"unknown": 1, "pending": 1}, "retry": {"pending": 1}}.get(action, {action: 1})
        assert statuses(campaign) == found
        assert post(ApiClient(alice), path, action=action).status_code == 409

    def test_one_to_a_single_phone(self, alice: User) -> None:
        message = message_send(owner=alice, phone="79991234567", text="Hello")
        settle(message.run, 1, MessageStatus.UNKNOWN)
        answer = post(ApiClient(alice), f"/messages/{message.pk}/resend")
        assert answer.status_code == 202
        assert answer.json()["id"] != message.pk
