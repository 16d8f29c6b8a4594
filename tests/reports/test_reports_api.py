"""`/reports` of the JSON API."""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from accounts.models import User
from campaigns.states import MessageStatus
from reports.analytics import tallies
from tests.campaigns.outcomes import settle, spend, started
from tests.conftest import ApiClient


def test_users_get_their_own_report_and_administrators_all(alice: User, bob: User, admin: User) -> None:
    campaign, run = started(alice, contacts=3, name="Autumn")
    settle(run, 2, MessageStatus.DELIVERED)
    settle(run, 1, MessageStatus.FAILED, "http_400")
    spend(run, "0.0125", 2)
    tallies.count_due(lambda: False)
    own, others, everything = (ApiClient(user).get("/reports").json() for user in (alice, bob, admin))
    assert own == everything
    total = own["total"]
    assert (total["messages"], total["accepted"], total["delivered"], total["failed"]) == (3, 2, 2, 1)
    assert own["days"][-1] == {"day": own["last"], **total}
    assert (len(own["days"]), len(own["hours"]), own["before"]["messages"]) == (30, 24, 0)
    assert own["facets"].keys() == {"operators", "countries", "timezones", "tags", "reasons"}
    assert [line["value"] for line in own["facets"]["reasons"]] == ["http_400"]
    assert [(row["campaign"], row["name"], row["cost"]) for row in own["campaigns"]] == [
        (campaign.pk, "Autumn", "0.025")
    ]
    costs = own["costs"]
    assert (costs["messages"], costs["cost"], costs["currency"], costs["before"]["cost"]) == (2, "0.025", "RUB", "0.00")
    assert [(line["value"], line["cost"]) for line in costs["gateways"]] == [("probe", "0.025")]
    assert (others["total"]["messages"], others["costs"]["cost"], others["campaigns"]) == (0, "0.00", [])


def test_a_report_covers_a_period_or_a_campaign(alice: User, bob: User) -> None:
    campaign, run = started(alice, contacts=1)
    settle(run, 1, MessageStatus.SENT)
    tallies.count_due(lambda: False)
    client = ApiClient(alice)
    yesterday = (now() - timedelta(days=3)).date()
    earlier = client.get(f"/reports?period=own&first={yesterday - timedelta(days=1)}&last={yesterday}").json()
    assert (earlier["total"]["messages"], len(earlier["days"])) == (0, 2)
    everything = client.get(f"/reports?period=all&campaign={campaign.pk}").json()
    assert (everything["first"], everything["before"], everything["total"]["messages"]) == (None, None, 1)
    assert client.get("/reports?period=today").json()["total"]["messages"] == 1
    assert ApiClient(bob).get(f"/reports?campaign={campaign.pk}").status_code == 403
    assert client.get("/reports?campaign=999999").status_code == 404


@pytest.mark.parametrize(
    "query",
    [
        "period=8",
        "period=",
        "period=own",
        "period=own&first=2026-01-01",
        "period=own&first=1999-01-01&last=1999-01-02",
        "period=own&first=2026-02-01&last=2026-01-01",
        "period=own&first=2024-01-01&last=2026-01-01",
        "period=own&first=x&last=9999-99-99",
        "first=0000-01-01",
        "first=2026-01-01&last=2026-01-02",
        "period=own&first=0&last=86400",
        "campaign=0",
        "campaign=x",
        f"campaign={2**63}",
    ],
)
def test_strange_parameters_are_refused(alice: User, query: str) -> None:
    assert ApiClient(alice).get(f"/reports?{query}").status_code == 422
