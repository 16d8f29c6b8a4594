from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.test import Client
from django.utils.timezone import localtime, now

from accounts.models import User
from campaigns.models import Gateway
from campaigns.states import MessageStatus
from project.queue import canary
from tests import factories
from tests.campaigns.outcomes import settle, started
from tests.campaigns.pages import browser, htmx


def home(user: User) -> str:
    return browser(user).get("/").content.decode()


def test_visitors_are_asked_to_sign_in(db: None) -> None:
    assert Client().get("/")["Location"].startswith("/accounts/login/")


def test_a_new_user_is_shown_the_first_steps(alice: User) -> None:
    assert "Two steps to your first campaign" in home(alice)
    assert "Import contacts" in home(alice)
    factories.contact(alice)
    assert "See contacts" in home(alice)


def test_the_start_page_shows_what_runs_what_comes_and_what_went_wrong(alice: User, bob: User) -> None:
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


def test_the_figures_of_today_are_drawn_by_the_hour(alice: User) -> None:
    _campaign, run = started(alice, contacts=3, name="Autumn")
    settle(run, 2, MessageStatus.SENT)
    hours = browser(alice).get("/?days=1").content.decode()
    assert "Messages an hour, today" in hours
    assert f"{localtime():%H}:00: 2 sent, 0 failed" in hours
    assert "the last 7 days" in browser(alice).get("/?days=7").content.decode()
    for garbage in ("", "x", "31", "-1"):
        assert "the last 30 days" in browser(alice).get("/", {"days": garbage}).content.decode()


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({}, "everything leaves as planned"),
        ({"failures": 3}, "3 requests in a row have failed"),
        ({"held_until": now() + timedelta(hours=1)}, "It asked us to wait till"),
        ({"opened_at": now(), "open_until": now(), "alert": "timeout"}, "No answer in time"),
    ],
)
def test_the_gateways_breaker_is_told_and_refreshed(alice: User, state: dict[str, Any], told: str) -> None:
    started(alice, contacts=1)
    Gateway.objects.all().delete()
    assert "nothing is known of it" in home(alice)
    Gateway.objects.create(name="probe", **state)
    assert told in home(alice)
    part = browser(alice).get("/", headers=htmx("now")).content.decode()
    assert 'id="gateways" hx-swap-oob="true"' in part
    assert told in part


def test_a_newcomers_page_refreshes_without_the_card_that_it_does_not_have(alice: User) -> None:
    assert "hx-swap-oob" not in browser(alice).get("/", headers=htmx("now")).content.decode()


def test_an_administrator_sees_all(alice: User, admin: User) -> None:
    _campaign, run = started(alice, contacts=2, name="Autumn")
    settle(run, 1, MessageStatus.SENT)
    assert "1 of 2" in home(admin)


def test_the_start_page_refreshes_what_is_under_way(alice: User) -> None:
    started(alice, contacts=1, name="Autumn")
    part = browser(alice).get("/", headers=htmx("now")).content.decode()
    assert "<html" not in part
    assert "Autumn" in part
    assert 'hx-trigger="every 3s"' in part


@pytest.mark.parametrize(
    ("alert", "advice"), [("http_401", "Set GATEWAY_TOKEN"), ("timeout", "nothing that you must do")]
)
def test_a_gateway_that_stopped_is_told_with_what_to_do(alice: User, alert: str, advice: str) -> None:
    Gateway.objects.create(name="probe", opened_at=now(), open_until=now() + timedelta(seconds=30), alert=alert)
    content = home(alice)
    assert "Sending stopped" in content
    assert advice in content
    assert "Gateway stopped" in browser(alice).get("/campaigns/").content.decode()


def test_a_missing_worker_is_told_and_since_when_where_somebody_waits_for_it(alice: User) -> None:
    campaign, _run = started(alice, contacts=1)
    pages = ["/", f"/campaigns/{campaign.pk}/"]
    told = {page: browser(alice).get(page).content.decode() for page in pages}
    assert all("No worker has run yet" in content for content in told.values())
    canary("host-1")
    assert not any("No worker" in browser(alice).get(page).content.decode() for page in pages)
    User.objects.filter(pk=alice.pk).update(language="ru", timezone="Asia/Tokyo")
    with time_machine.travel(now() + timedelta(days=1)):
        for page in pages:
            content = browser(alice).get(page).content.decode()
            assert 'role="alert"' in content
            assert f"{localtime(now() - timedelta(days=1), ZoneInfo('Asia/Tokyo')):вчера в %H:%M}" in content
