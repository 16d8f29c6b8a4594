"""The list of campaigns."""

from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from campaigns.models import Campaign
from campaigns.states import MessageStatus
from tests import factories
from tests.campaigns.browser_client import LIST, NEW, PREVIEW, act, browser, htmx, page_of
from tests.campaigns.outcomes import settle, started

GARBAGE = [
    "cursor=x",
    "cursor=-1",
    f"cursor={2**70}",
    "cursor=" + "9" * 5000,
    "status=nope",
    "q=%00",
    "q=%F0%28",
    "run=0",
    "run=x",
]


def test_every_page_requires_sign_in(alice: User) -> None:
    campaign = factories.campaign(alice)
    for path in (LIST, NEW, page_of(campaign), f"{page_of(campaign)}edit/"):
        assert Client().get(path)["Location"].startswith("/accounts/login/")
    assert Client().post(PREVIEW)["Location"].startswith("/accounts/login/")


def test_the_list_shows_all_campaigns_but_only_own_figures(alice: User, bob: User) -> None:
    campaign, run = started(alice, contacts=3, name="Autumn")
    settle(run, 2, MessageStatus.SENT)
    own, others = (browser(user).get(LIST).content.decode() for user in (alice, bob))
    assert "Autumn" in own
    assert "2 of 3" in own
    assert page_of(campaign) in own
    assert "Autumn" in others
    assert "2 of 3" not in others
    assert page_of(campaign) not in others


def test_the_list_is_searched_and_filtered_by_its_address(alice: User, bob: User) -> None:
    factories.campaign(alice, name="Осенняя распродажа", draft=True)
    factories.campaign(bob, name="Winter sale")
    client = browser(alice)
    for query, found in [
        ("q=осенняя", {"Осенняя"}),
        ("status=draft", {"Осенняя"}),
        ("status=scheduled", {"Winter"}),
        ("mine=on", {"Осенняя"}),
        ("q=sale&status=", {"Winter"}),
        ("q=nothing", set()),
    ]:
        content = client.get(f"{LIST}?{query}").content.decode()
        assert {word for word in ("Осенняя", "Winter") if word in content.split('id="found"')[1]} == found, query


def test_a_live_search_returns_only_the_list_and_updates_the_address(alice: User) -> None:
    factories.campaign(alice, name="Autumn")
    answer = browser(alice).get(f"{LIST}?{urlencode({'q': 'autumn', 'status': ''})}", headers=htmx("found"))
    assert "<html" not in answer.content.decode()
    assert "Autumn" in answer.content.decode()
    assert answer["HX-Replace-Url"] == f"{LIST}?q=autumn"
    assert "HX-Request" in answer["Vary"]


def test_the_list_refreshes_itself_only_while_something_runs(alice: User) -> None:
    campaign, _run = started(alice, contacts=1)
    client = browser(alice)
    assert 'hx-trigger="every 3s"' in client.get(LIST).content.decode()
    act(client, campaign, "pause")
    assert 'hx-trigger="every 3s"' not in client.get(LIST).content.decode()


def test_the_list_costs_a_constant_number_of_queries(alice: User) -> None:
    client = browser(alice)
    client.get(LIST)  # the first request stores the session
    costs = []
    for number in (1, 29):
        for _ in range(number):
            started(alice)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            client.get(LIST)
        costs.append(len(queries))
    assert costs[0] == costs[1]


def test_the_list_pages_by_key(alice: User) -> None:
    for number in range(31):
        factories.campaign(alice, name=f"No. {number:02}", draft=True)
    client = browser(alice)
    first = client.get(LIST).content.decode()
    assert "No. 30" in first
    assert "No. 00" not in first
    cursor = Campaign.objects.order_by("-pk")[29].pk
    assert f"cursor={cursor}" in first
    assert "No. 00" in client.get(f"{LIST}?cursor={cursor}").content.decode()


def test_an_empty_list_says_what_to_do(alice: User) -> None:
    assert "No campaigns yet" in browser(alice).get(LIST).content.decode()


@pytest.mark.parametrize("query", GARBAGE)
def test_garbage_in_an_address_is_no_error(alice: User, query: str) -> None:
    campaign, _run = started(alice, contacts=1)
    client = browser(alice)
    assert client.get(f"{LIST}?{query}").status_code == 200
    assert client.get(f"{page_of(campaign)}?{query}").status_code == 200
