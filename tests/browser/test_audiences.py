"""Saving an audience and using it in a campaign, in a browser."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.stack import Api, add_contacts


@pytest.fixture
def browser_context_args(browser_context_args: dict[str, object], session: Path) -> dict[str, object]:
    return {**browser_context_args, "storage_state": session}


def test_an_audience_is_saved_and_used_in_the_composer_without_losing_input(api: Api, page: Page) -> None:
    add_contacts(api, "audience", 3)
    page.goto("/contacts/audiences/new/")
    page.get_by_label("Name", exact=True).fill("Three of them")
    page.get_by_role("group", name="Tags").first.get_by_label("audience", exact=True).check()
    expect(page.locator("#reach")).to_contain_text("3 contacts match now.")
    page.get_by_role("button", name="Save audience").click()
    expect(page.get_by_text("Audience “Three of them” saved.")).to_be_visible()

    page.goto("/campaigns/new/")
    page.get_by_label("Text", exact=True).fill("Written before the audience was chosen")
    expect(page.locator("#preview")).to_contain_text("Written before")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route(re.compile(r"audience="), hold)
    with page.expect_response("**/preview/"):  # the one that is due when the cursor leaves the text
        page.get_by_role("link", name="Three of them").click()
    held[0].continue_()
    expect(page.get_by_role("group", name="Tags").first.get_by_label("audience", exact=True)).to_be_checked()
    expect(page.get_by_label("Text", exact=True)).to_have_value("Written before the audience was chosen")
    expect(page.locator("#preview")).to_contain_text("Written before")
    expect(page.locator("#preview")).to_contain_text("3 contacts")
