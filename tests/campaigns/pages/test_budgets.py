"""Cost and budget on a campaign's page, and the button that continues with a larger budget."""

from decimal import Decimal

import pytest

from accounts.models import User
from campaigns.models import Campaign, Run
from campaigns.states import MessageStatus
from project.core.clock import now
from tests.campaigns.browser_client import browser
from tests.campaigns.outcomes import settle, started


def stopped(owner: User, budget: str | None) -> Campaign:
    """A campaign that a budget has stopped after one of its three messages, which cost 2.50."""
    campaign, run = started(owner, contacts=3, budget=budget and Decimal(budget))
    settle(run, 1, MessageStatus.SENT)
    Run.objects.update(cost=2_500_000)
    Campaign.objects.update(status="paused", budget_reached_at=now())
    campaign.refresh_from_db()
    return campaign


def test_the_page_shows_cost_and_budget(alice: User) -> None:
    campaign = stopped(alice, "3")
    page = browser(alice).get(f"/campaigns/{campaign.pk}/").content.decode()
    assert '<dt class="warn">Cost</dt>' in page
    assert "RUB\xa02.50" in page
    assert "of RUB\xa03.00" in page
    assert "at most RUB\xa03.00" in page
    assert "the next message would exceed the budget" in page
    assert 'value="8"' in page  # 2.50 each


def test_a_budget_of_nothing_can_be_raised(alice: User) -> None:
    campaign = stopped(alice, "0")
    page = browser(alice).get(f"/campaigns/{campaign.pk}/").content.decode()
    assert "the next message would exceed the budget" in page
    assert "this month" not in page


def test_nothing_of_money_is_shown_without_prices(alice: User) -> None:
    campaign, _ = started(alice, contacts=1)
    page = browser(alice).get(f"/campaigns/{campaign.pk}/").content.decode()
    assert "RUB" not in page
    assert "Cost" not in page


def test_a_larger_budget_continues_the_campaign(alice: User) -> None:
    campaign = stopped(alice, "3")
    answer = browser(alice).post(f"/campaigns/{campaign.pk}/continue/", {"budget": "8"}, follow=True)
    assert "continues with the new budget" in answer.content.decode()
    campaign.refresh_from_db()
    assert (campaign.status, campaign.budget, campaign.budget_reached_at) == ("running", Decimal(8), None)


@pytest.mark.parametrize("budget", ["", "-1", "many", "2.50", "0.0000001"])
def test_a_budget_that_does_not_suffice_is_refused(alice: User, budget: str) -> None:
    campaign = stopped(alice, "3")
    answer = browser(alice).post(f"/campaigns/{campaign.pk}/continue/", {"budget": budget}, follow=True)
    assert 'class="toast' in answer.content.decode()
    campaign.refresh_from_db()
    assert (campaign.status, campaign.budget) == ("paused", Decimal(3))


def test_a_used_up_month_names_who_can_help(alice: User) -> None:
    alice.monthly_budget = Decimal(1)
    alice.save()
    campaign = stopped(alice, None)
    assert "An administrator can raise it" in browser(alice).get(f"/campaigns/{campaign.pk}/").content.decode()


def test_others_can_not_continue_it(alice: User, bob: User) -> None:
    campaign = stopped(alice, "3")
    assert browser(bob).post(f"/campaigns/{campaign.pk}/continue/", {"budget": "8"}).status_code == 403
