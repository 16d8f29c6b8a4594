"""The pages of reports: whose figures, of which days, compared with which, and what an odd address makes of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from campaigns.states import MessageStatus
from project.clock import now
from reports import tallies
from tests import factories
from tests.campaigns.outcomes import retry, settle, started
from tests.campaigns.pages import browser, htmx


def page(user: User, query: str = "") -> Any:
    return browser(user).get(f"/reports/{query}")


def test_a_report_shows_ones_own_figures_and_an_administrator_all(alice: User, bob: User, admin: User) -> None:
    campaign, run = started(alice, contacts=3, name="Autumn")
    settle(run, 2, MessageStatus.SENT)
    tallies.count_due(lambda: False)
    for user, shown in ((alice, True), (bob, False), (admin, True)):
        content = page(user).content.decode()
        assert ("Autumn" in content) == shown
        assert ("<strong>2</strong> messages came to their end" in content) == shown
        assert ("1 more waits" in content) == shown
        assert browser(user).get(f"/reports/campaigns/{campaign.pk}/").status_code == (200 if shown else 404)
    assert Client().get("/reports/")["Location"].startswith("/accounts/login/")


def test_a_campaigns_report_tells_why_and_from_where(alice: User) -> None:
    campaign, run = started(alice, contacts=4)
    retry(run)
    settle(run, 2, MessageStatus.DELIVERED)
    settle(run, 1, MessageStatus.FAILED, "http_400")
    tallies.count_due(lambda: False)
    content = browser(alice).get(f"/reports/campaigns/{campaign.pk}/").content.decode()
    for words in ("Refused by the gateway (400)", "No answer in time", ">Moscow<", ">999<", "Without a tag"):
        assert words in content
    assert 'role="img"' in content
    assert "2 sent, 1 failed" in content  # the chart in words


def test_each_period_is_compared_with_as_many_days_before(alice: User) -> None:
    noon = datetime(2026, 11, 24, 9, tzinfo=UTC)
    with timezone.override("Asia/Vladivostok"):  # 19:00 there
        for ago, number in ((0, 1), (1, 2), (8, 3), (40, 4)):
            with time_machine.travel(noon - timedelta(days=ago), tick=False):
                _campaign, run = started(alice, contacts=number)
                settle(run, number, MessageStatus.SENT)
                type(run).objects.filter(pk=run.pk).update(finished_at=now())
    with time_machine.travel(noon + timedelta(minutes=1), tick=False):
        tallies.count_due(lambda: False)
        alice.timezone = "Asia/Vladivostok"
        alice.save()
        for query, total, before in (("today", 1, 2), ("7", 3, 3), ("30", 6, 4), ("90", 10, 0)):
            told = page(alice, f"?period={query}").context
            assert (told["choice"], told["whole"].total) == (query, total)
            assert told["headline"][0].before == str(before)
        told = page(alice, "?period=own&first=2026-11-16&last=2026-11-23").context
        assert [row.good for row in told["by_day"]["wide"].points] == [3, 0, 0, 0, 0, 0, 0, 2]
        part = browser(alice).get("/reports/?period=7", headers=htmx("report")).content.decode()
        assert "<html" not in part
        assert 'id="report"' in part


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("period=x", False),
        ("period=all", False),
        ("period=own", True),
        ("period=own&first=2026-11-02&last=2026-11-01", True),
        ("period=own&first=2020-01-01&last=2026-11-01", True),
        ("period=own&first=0001-01-01&last=9999-12-31", True),
        ("period=own&first=%00&last=' or 1", True),
    ],
)
def test_an_address_that_says_nothing_shows_thirty_days(alice: User, query: str, *, error: bool) -> None:
    factories.campaign(alice, draft=True)
    answer = page(alice, f"?{query}")
    assert answer.status_code == 200
    assert len(answer.context["days"]) == 30
    assert ('aria-invalid="true"' in answer.content.decode()) == error
    assert browser(alice).get(f"/reports/days.csv?{query}").status_code == 200


def test_reports_cost_the_same_at_any_number_of_campaigns(alice: User) -> None:
    client, costs = browser(alice), []
    client.get("/")  # the first request of a session notes it
    for number in (1, 5):
        for _ in range(number):
            _campaign, run = started(alice, contacts=1)
            settle(run, 1, MessageStatus.SENT)
        tallies.count_due(lambda: False)
        with CaptureQueriesContext(connection) as queries:
            client.get("/")
            client.get("/reports/")
        costs.append(len(queries))
    assert costs[0] == costs[1] <= 30
