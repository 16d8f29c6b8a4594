"""A campaign reaches its budget and continues with a larger one, in both languages."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import accessibility_problems
from tests.stack import Api, add_contacts, launch, wait_for

WORDS = {
    "en": {
        "paused": "the next message would exceed the budget",
        "continue": "Continue with this budget",
        "budget": "New budget",
        "of": "of",
    },
    "ru": {
        "paused": "следующее сообщение превысило бы бюджет",
        "continue": "Продолжить с этим бюджетом",
        "budget": "Новый бюджет",
        "of": "из",
    },
}


@pytest.fixture
def browser_context_args(browser_context_args: dict[str, object], session: Path) -> dict[str, object]:
    return {**browser_context_args, "storage_state": session, "reduced_motion": "reduce"}


@pytest.mark.parametrize("language", ["en", "ru"])
def test_a_larger_budget_continues_a_campaign(api: Api, page: Page, language: str) -> None:
    words, tag = WORDS[language], f"budget-{language}"
    me = api.call("GET", "/users/me")["id"]
    add_contacts(api, tag, 5)
    prices = [{"area": "", "price": "2.50", "valid_from": "2026-01-01"}]
    try:
        api.call("PATCH", f"/users/{me}", language=language)
        api.put(f"{api.root}/gateways/probe/prices", json=prices, timeout=20).raise_for_status()
        campaign = launch(api, tag, budget="6")
        wait_for(lambda: api.call("GET", f"/campaigns/{campaign}")["budget_reached_at"], "the budget")
        page.goto(f"/campaigns/{campaign}/")
        expect(page.get_by_role("region", name="Budget" if language == "en" else "Бюджет")).to_contain_text(
            words["paused"]
        )
        assert accessibility_problems(page) == []
        field = page.get_by_label(words["budget"])
        expect(field).to_have_value("13")
        page.get_by_role("button", name=words["continue"], exact=True).click()
        wait_for(lambda: api.call("GET", f"/campaigns/{campaign}")["status"] == "finished", "the end")
        figures = api.call("GET", f"/campaigns/{campaign}/stats")
        assert (figures["cost"], figures["by_status"]["sent"]) == ("12.50", 5)
    finally:
        api.call("PATCH", f"/users/{me}", language="en")
        api.put(f"{api.root}/gateways/probe/prices", json=[], timeout=20).raise_for_status()
