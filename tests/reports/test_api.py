import pytest

from accounts.models import User
from campaigns.states import CampaignStatus, MessageStatus
from tests import factories
from tests.campaigns.outcomes import settle, spend, started
from tests.conftest import ApiClient


def test_stats_need_a_token(db: None) -> None:
    assert ApiClient().get("/stats").status_code == 401


def test_users_get_their_own_figures_and_administrators_all(alice: User, bob: User, admin: User) -> None:
    campaign, run = started(alice, contacts=3, name="Autumn")
    settle(run, 2, MessageStatus.SENT)
    factories.campaign(bob, draft=True)
    own, others, everything = (ApiClient(user).get("/stats").json() for user in (alice, bob, admin))
    assert own["messages"]["by_status"]["sent"] == 2
    assert set(own["messages"]["by_status"]) == set(MessageStatus.values)
    assert set(own["campaigns"]["by_status"]) == set(CampaignStatus.values)
    assert own["campaigns"]["by_status"]["running"] == 1
    item = own["items"][0]
    assert (item["id"], item["name"], item["status"], item["owner"]) == (campaign.pk, "Autumn", "running", alice.pk)
    assert item["total"] == sum(item["by_status"].values()) == 3
    assert others["messages"]["by_status"]["sent"] == 0
    assert [row["status"] for row in others["items"]] == ["draft"]
    assert len(everything["items"]) == 2


def test_stats_have_exact_costs(alice: User, bob: User, admin: User) -> None:
    _campaign, run = started(alice, contacts=1)
    spend(run, "0.0125", 2)
    factories.campaign(bob, draft=True)
    own, others, everything = (ApiClient(user).get("/stats").json() for user in (alice, bob, admin))
    assert (own["cost"], others["cost"], everything["cost"]) == ("0.025", "0.00", "0.025")
    assert (own["currency"], own["items"][0]["cost"], others["items"][0]["cost"]) == ("RUB", "0.025", "0.00")


def test_items_come_in_pages(alice: User) -> None:
    for _ in range(3):
        factories.campaign(alice, draft=True)
    client = ApiClient(alice)
    first = client.get("/stats?limit=2").json()
    second = client.get(f"/stats?limit=2&cursor={first['next']}").json()
    assert [len(page["items"]) for page in (first, second)] == [2, 1]
    assert second["next"] is None


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "cursor=x", "limit=x"])
def test_bad_parameters_are_refused(alice: User, query: str) -> None:
    assert ApiClient(alice).get(f"/stats?{query}").status_code == 422
