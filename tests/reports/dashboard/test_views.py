from datetime import timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.test import Client
from django.utils.timezone import localtime, now

from accounts.models import User
from campaigns.models import Campaign, Gateway
from campaigns.states import CampaignStatus, MessageStatus
from project.queue.broker import canary
from tests import factories
from tests.campaigns.browser_client import browser, htmx
from tests.campaigns.outcomes import settle, spend, started


def home(user: User) -> str:
    return browser(user).get("/").content.decode()


def test_visitors_must_sign_in(db: None) -> None:
    assert Client().get("/")["Location"].startswith("/accounts/login/")


def test_a_new_user_is_shown_the_first_steps(alice: User) -> None:
    assert "Two steps to your first campaign" in home(alice)
    assert "Import contacts" in home(alice)
    factories.contact(alice)
    assert "View contacts" in home(alice)


def test_the_home_page_shows_running_and_upcoming_campaigns_and_problems(alice: User, bob: User) -> None:
    _campaign, run = started(alice, contacts=4, name="Autumn")
    settle(run, 1, MessageStatus.SENT)
    settle(run, 2, MessageStatus.FAILED, "http_400")
    factories.campaign(alice, name="Winter", starts_at=now() + timedelta(days=1))
    content = home(alice)
    assert "Autumn" in content
    assert "3 of 4" in content
    assert "Winter" in content
    assert "2 failed" in content
    assert "Autumn" not in home(bob)


def test_budgets_that_are_used_up_or_nearly_so_are_problems(alice: User, bob: User, admin: User) -> None:
    started(alice, contacts=1, name="Winter")
    assert "No problems." in home(alice)
    for name, spent in (("Spring", "7.9"), ("Summer", "8"), ("Autumn", "10")):
        campaign, run = started(alice, contacts=1, name=name, budget=Decimal(10))
        spend(run, spent)
        if name == "Autumn":
            campaign.enter(CampaignStatus.PAUSED, budget_reached_at=now())
    Campaign.objects.filter(name="Winter").update(status=CampaignStatus.PAUSED)  # by a user
    for user in (alice, admin):
        problems = home(user).partition("Problems in")[2]
        assert f'/campaigns/{campaign.pk}/">Autumn</a>' in problems
        assert problems.count("Paused: budget used up") == 1
        assert problems.count("of the budget used") == 1
        assert "80.0\N{NARROW NO-BREAK SPACE}% of the budget used" in problems
    assert "budget" not in home(bob)


def test_most_of_the_months_budget_is_a_problem_of_the_user(alice: User, admin: User) -> None:
    _campaign, run = started(alice, contacts=1)
    spend(run, "8.5")
    for budget, warned in ((11, False), (10, True)):
        User.objects.filter(pk=alice.pk).update(monthly_budget=Decimal(budget))
        assert ("Your budget of this month" in home(alice)) == warned
    assert "85.0\N{NARROW NO-BREAK SPACE}% used" in home(alice)
    assert "Your budget of this month" not in home(admin)


def test_the_figures_of_today_are_drawn_by_the_hour(alice: User) -> None:
    _campaign, run = started(alice, contacts=3, name="Autumn")
    settle(run, 2, MessageStatus.SENT)
    hours = browser(alice).get("/?days=1").content.decode()
    assert "Messages per hour, today" in hours
    assert f"{localtime():%H}:00: 2 sent, 0 failed" in hours
    assert "the last 7 days" in browser(alice).get("/?days=7").content.decode()
    for garbage in ("", "x", "31", "-1"):
        assert "the last 30 days" in browser(alice).get("/", {"days": garbage}).content.decode()


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ({}, "Sending normally"),
        ({"failures": 3}, "the last 3 requests failed"),
        ({"held_until": now() + timedelta(hours=1)}, "The gateway asked us to wait until"),
        ({"opened_at": now(), "open_until": now(), "alert": "timeout"}, "The gateway did not respond in time"),
    ],
)
def test_the_circuit_breaker_is_shown_and_refreshed(alice: User, state: dict[str, Any], text: str) -> None:
    started(alice, contacts=1)
    Gateway.objects.all().delete()
    assert "status is unknown" in home(alice)
    Gateway.objects.create(name="probe", **state)
    assert text in home(alice)
    part = browser(alice).get("/", headers=htmx("now")).content.decode()
    assert 'id="gateways" hx-swap-oob="true"' in part
    assert text in part


def test_an_empty_home_page_refreshes_without_the_gateway_card(alice: User) -> None:
    assert 'id="gateways"' not in browser(alice).get("/", headers=htmx("now")).content.decode()


def test_an_administrator_sees_all(alice: User, admin: User) -> None:
    _campaign, run = started(alice, contacts=2, name="Autumn")
    settle(run, 1, MessageStatus.SENT)
    assert "1 of 2" in home(admin)


def test_the_home_page_refreshes_active_campaigns(alice: User) -> None:
    started(alice, contacts=1, name="Autumn")
    part = browser(alice).get("/", headers=htmx("now")).content.decode()
    assert "<html" not in part
    assert "Autumn" in part
    assert 'hx-trigger="every 3s"' in part


@pytest.mark.parametrize(
    ("alert", "advice"), [("http_401", "Set GATEWAY_TOKEN"), ("timeout", "you don’t need to do anything")]
)
def test_a_stopped_gateway_is_shown_with_advice(alice: User, alert: str, advice: str) -> None:
    Gateway.objects.create(name="probe", opened_at=now(), open_until=now() + timedelta(seconds=30), alert=alert)
    content = home(alice)
    assert "Sending has been paused" in content
    assert advice in content
    assert "Gateway not responding" in browser(alice).get("/campaigns/").content.decode()


def test_a_missing_worker_is_shown_where_users_wait_for_it(alice: User) -> None:
    campaign, _run = started(alice, contacts=1)
    pages = ["/", f"/campaigns/{campaign.pk}/"]
    text = {page: browser(alice).get(page).content.decode() for page in pages}
    assert all("No worker has been started yet" in content for content in text.values())
    canary("host-1")
    assert not any("No worker" in browser(alice).get(page).content.decode() for page in pages)
    User.objects.filter(pk=alice.pk).update(language="ru", timezone="Asia/Tokyo")
    with time_machine.travel(now() + timedelta(days=1)):
        for page in pages:
            content = browser(alice).get(page).content.decode()
            assert 'role="alert"' in content
            assert f"{localtime(now() - timedelta(days=1), ZoneInfo('Asia/Tokyo')):вчера в %H:%M}" in content
