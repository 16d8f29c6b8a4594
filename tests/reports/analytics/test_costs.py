"""The cost of messages on report pages and in their exports."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.utils import translation

from accounts.models import User
from campaigns.messages.transactional import message_send
from campaigns.models import Run
from campaigns.states import MessageStatus
from project.core.money import money, price
from reports.analytics import tallies
from reports.analytics.costs import COST_BREAKDOWNS, Cost
from tests import factories
from tests.campaigns.browser_client import browser
from tests.campaigns.outcomes import settle, spend, started

NOON = datetime(2026, 11, 24, 9, tzinfo=UTC)
KAZAKH = 77010001234


@pytest.fixture
def spent(alice: User) -> Run:
    """Alice's campaign: 4 messages for 10.00 today, in two countries by two gateways, and one a month ago."""
    with time_machine.travel(NOON - timedelta(days=31), tick=False):
        _campaign, run = started(alice, contacts=5, name="Autumn", ends_at=NOON + timedelta(days=1))
        settle(run, 1, MessageStatus.SENT)
        spend(run, "5")
    with time_machine.travel(NOON, tick=False):
        settle(run, 4, MessageStatus.SENT)
        spend(run, "2.5", 2)
        spend(run, "2.5", gateway="second")
        spend(run, "2.5", phone=KAZAKH)
        tallies.count_due(lambda: False)
    return run


def shown(user: User, address: str = "/reports/") -> tuple[Any, str]:
    with time_machine.travel(NOON, tick=False):
        answer = browser(user).get(address)
        return answer.context["costs"], answer.content.decode()


def exported(user: User, what: str) -> list[str]:
    with time_machine.travel(NOON, tick=False):
        answer: Any = browser(user).get(f"/reports/{what}.csv")
        return b"".join(answer.streaming_content).decode("utf-8-sig").splitlines()


def test_a_report_shows_the_cost_and_compares_it(alice: User, bob: User, admin: User, spent: Run) -> None:
    for user in (alice, admin):
        costs, content = shown(user)
        assert costs["total"] == Cost(4, 4, 10_000_000)
        assert [(figure.value, figure.before) for figure in costs["headline"]] == [
            (money(10_000_000), money(5_000_000)),
            ("4", "1"),
            ("4", "1"),
        ]
        assert f"{price(Decimal('2.5'))} per message" in content
        assert "+100" in content
        countries, gateways, days = ([(label, row.cost) for label, row in table["first"]] for table in costs["tables"])
        assert countries == [("Russia", 7_500_000), ("Kazakhstan", 2_500_000)]
        assert gateways == [("probe", 7_500_000), ("second", 2_500_000)]
        assert days == [("24 Nov 2026", 10_000_000)]
        assert content.count(f' hide-s">{money(10_000_000)}</td>') == 1  # in the table of campaigns
    costs, content = shown(alice, f"/reports/campaigns/{spent.campaign_id}/")
    assert costs["total"] == Cost(5, 5, 15_000_000)
    assert "Cost by gateway" in content


def test_nothing_of_money_is_shown_where_nothing_had_a_price(bob: User, spent: Run) -> None:
    _campaign, run = started(bob, contacts=1)
    settle(run, 1, MessageStatus.SENT)
    with time_machine.travel(NOON, tick=False):
        tallies.count_due(lambda: False)
    costs, content = shown(bob, "/reports/?period=90")
    assert costs is None
    assert "Cost" not in content


def test_transactional_messages_cost_too(alice: User) -> None:
    with time_machine.travel(NOON, tick=False):
        message = message_send(owner=alice, phone=79990001122, text="Code 1")
        spend(message.run, "1")
        settle(message.run, 1, MessageStatus.SENT)
        tallies.count_due(lambda: False)
        factories.campaign(alice, draft=True)
    costs, _content = shown(alice)
    assert costs["total"] == Cost(1, 1, 1_000_000)


def test_breakdowns_are_exported_exactly(alice: User, bob: User, spent: Run) -> None:
    assert exported(alice, "cost-countries") == [
        "country,name,messages,parts,cost",
        "RU,Russia,3,3,7.50",
        "KZ,Kazakhstan,1,1,2.50",
    ]
    assert exported(alice, "cost-gateways")[1:] == ["probe,3,3,7.50", "second,1,1,2.50"]
    assert exported(alice, "cost-days") == ["day,messages,parts,cost", "2026-11-24,4,4,10.00"]
    assert exported(bob, "cost-days") == ["day,messages,parts,cost"]
    assert exported(alice, f"campaigns/{spent.campaign_id}/cost-days")[1:] == [
        "2026-11-24,4,4,10.00",
        "2026-10-24,1,1,5.00",
    ]


def test_a_day_is_one_of_the_users_time_zone(alice: User) -> None:
    with time_machine.travel(datetime(2026, 11, 23, 21, 30, tzinfo=UTC), tick=False):  # 0:30 in Moscow
        _campaign, run = started(alice, contacts=1)
        spend(run, "0.0125")
    assert exported(alice, "cost-days")[1:] == ["2026-11-24,1,1,0.0125"]


def test_countries_have_names_in_the_active_language() -> None:
    words = COST_BREAKDOWNS["cost-countries"].words
    assert (words("KZ"), words("")) == ("Kazakhstan", "No country")
    with translation.override("ru"):
        assert words("KZ") == "Казахстан"
