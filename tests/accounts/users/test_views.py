"""The page of one user for administrators."""

from decimal import Decimal
from typing import Any

import pytest

from accounts.audit_log import Change, history_of
from accounts.models import User
from accounts.optimistic_locking import version_of
from project.core.money import money
from tests.campaigns.browser_client import browser
from tests.campaigns.outcomes import spend, started


def page(by: User, row: User) -> str:
    return browser(by).get(f"/users/{row.pk}/").content.decode()


def save(by: User, row: User, budget: str, **data: str) -> Any:
    return browser(by).post(f"/users/{row.pk}/", {"monthly_budget": budget, **data})


@pytest.fixture
def spent(alice: User) -> None:
    """Alice has spent 12.50 this month."""
    _campaign, run = started(alice, contacts=1)
    spend(run, "12.5")


def test_administrators_set_the_monthly_budget(admin: User, alice: User, spent: None) -> None:
    assert save(admin, alice, "100").status_code == 302
    alice.refresh_from_db()
    assert alice.monthly_budget == Decimal(100)
    (step,) = history_of(alice)
    assert (step.by, step.changes) == (admin, [("monthly budget", Change("", "100.00"))])
    assert f"This month: {money(12_500_000)} of {money(100_000_000)}" in page(admin, alice)
    assert "<ins>100.00</ins>" in page(admin, alice)
    assert save(admin, alice, "").status_code == 302
    assert "This month" not in page(admin, alice)


def test_users_see_their_own_budget_and_do_not_change_it(alice: User, spent: None) -> None:
    assert "This month" not in browser(alice).get("/account/").content.decode()
    User.objects.filter(pk=alice.pk).update(monthly_budget=Decimal(15))
    shown = browser(alice).get("/account/").content.decode()
    assert f"This month: {money(12_500_000)} of {money(15_000_000)}" in shown
    assert '<span class="badge warn">83.3' in shown
    assert save(alice, alice, "1000").status_code == 403


@pytest.mark.parametrize("budget", ["-1", "much", "0.0000001", "10000000000"])
def test_an_invalid_budget_is_not_saved(admin: User, alice: User, spent: None, budget: str) -> None:
    assert 'aria-invalid="true"' in save(admin, alice, budget).content.decode()
    alice.refresh_from_db()
    assert alice.monthly_budget is None


def test_a_budget_that_was_changed_meanwhile_is_not_overwritten(admin: User, alice: User, spent: None) -> None:
    opened = version_of(alice)
    save(admin, alice, "100")
    assert "This was changed after you opened the page" in save(admin, alice, "50", version=opened).content.decode()
    alice.refresh_from_db()
    assert alice.monthly_budget == Decimal(100)


def test_nothing_of_money_is_shown_without_prices(admin: User, alice: User) -> None:
    assert "budget" not in page(admin, alice).lower()
