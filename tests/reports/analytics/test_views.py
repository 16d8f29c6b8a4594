"""The report pages: visible figures, periods, comparison, and invalid addresses."""

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
from project.core.clock import now
from reports.analytics import tallies
from reports.models import CountState
from tests import factories
from tests.campaigns.browser_client import browser, htmx
from tests.campaigns.outcomes import retry, settle, started


def page(user: User, query: str = "") -> Any:
    return browser(user).get(f"/reports/{query}")


def test_a_report_shows_ones_own_figures_and_an_administrator_all(alice: User, bob: User, admin: User) -> None:
    campaign, run = started(alice, contacts=3, name="Autumn")
    settle(run, 2, MessageStatus.SENT)
    tallies.count_due(lambda: False)
    for user, shown in ((alice, True), (bob, False), (admin, True)):
        content = page(user).content.decode()
        assert ("Autumn" in content) == shown
        assert ("<strong>2</strong> messages completed" in content) == shown
        assert ("1 more is waiting" in content) == shown
        assert browser(user).get(f"/reports/campaigns/{campaign.pk}/").status_code == (200 if shown else 404)
    assert Client().get("/reports/")["Location"].startswith("/accounts/login/")


def test_a_campaigns_report_shows_reasons_and_facets(alice: User) -> None:
    campaign, run = started(alice, contacts=4)
    retry(run)
    settle(run, 2, MessageStatus.DELIVERED)
    settle(run, 1, MessageStatus.FAILED, "http_400")
    tallies.count_due(lambda: False)
    content = browser(alice).get(f"/reports/campaigns/{campaign.pk}/").content.decode()
    for words in (
        "Rejected by the gateway (400)",
        "The gateway did not respond in time",
        ">Moscow<",
        ">999<",
        "No tag",
    ):
        assert words in content
    assert 'role="img"' in content
    assert "2 sent, 1 failed" in content  # the chart's text alternative


def test_countries_are_listed_when_there_are_several(alice: User) -> None:
    _campaign, run = started(alice, contacts=2)
    settle(run, 1, MessageStatus.DELIVERED)
    tallies.count_due(lambda: False)
    assert ">Russia<" not in page(alice).content.decode()
    settle(run, 1, MessageStatus.DELIVERED)
    run.messages.filter(pk=run.messages.latest("pk").pk).update(phone=77011234567)
    CountState.objects.update(next_count_at=now())
    tallies.count_due(lambda: False)
    shown = page(alice).content.decode()
    assert ">Russia<" in shown
    assert ">Kazakhstan<" in shown


def test_each_period_is_compared_with_as_many_days_before(alice: User) -> None:
    noon = datetime(2026, 11, 24, 9, tzinfo=UTC)
    with timezone.override("Asia/Vladivostok"):  # 19:00 local time
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
            context = page(alice, f"?period={query}").context
            assert (context["choice"], context["whole"].total) == (query, total)
            assert context["headline"][0].before == str(before)
        context = page(alice, "?period=own&first=2026-11-16&last=2026-11-23").context
        assert [row.good for row in context["by_day"]["wide"].points] == [3, 0, 0, 0, 0, 0, 0, 2]
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
def test_an_invalid_address_shows_thirty_days(alice: User, query: str, *, error: bool) -> None:
    factories.campaign(alice, draft=True)
    answer = page(alice, f"?{query}")
    assert answer.status_code == 200
    assert len(answer.context["days"]) == 30
    assert ('aria-invalid="true"' in answer.content.decode()) == error
    assert browser(alice).get(f"/reports/days.csv?{query}").status_code == (200 if query == "period=all" else 400)


def test_reports_cost_a_constant_number_of_queries(alice: User) -> None:
    client, costs = browser(alice), []
    client.get("/")  # the first request stores the session
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
