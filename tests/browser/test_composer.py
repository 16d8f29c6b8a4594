"""The composer as a marketer uses it: what is written is measured, leafed through, mended, reviewed and launched."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.stack import Api, add_contacts

TAG = "composer"


@pytest.fixture
def browser_context_args(browser_context_args: dict[str, object], session: Path) -> dict[str, object]:
    return {**browser_context_args, "storage_state": session}


def test_a_campaign_is_measured_leafed_through_mended_reviewed_and_launched(api: Api, page: Page) -> None:
    add_contacts(api, TAG, 3)
    page.goto("/campaigns/new/")
    text, size = page.get_by_label("Text", exact=True), page.locator("#size")
    preview, dialog = page.get_by_role("region", name="Preview"), page.get_by_role("dialog")
    shown = preview.locator("[data-leaf-page]:not([hidden]) .bubble")

    text.fill("“" + "a" * 70 + "” {phone}")
    page.get_by_role("checkbox", name=TAG).check()
    expect(page.locator("#preview")).to_contain_text("3 contacts")
    expect(size).to_contain_text("because of “ ”")
    first = shown.inner_text()
    page.get_by_role("button", name="Next contact").click()
    expect(preview).to_contain_text("2 of 3")
    page.keyboard.press("ArrowRight")
    expect(preview).to_contain_text("3 of 3")
    last = shown.inner_text()
    assert first != last
    page.get_by_role("button", name="Replace with plain characters").click()
    expect(size).to_contain_text("GSM-7")
    expect(shown).to_have_text(last.replace("“", '"').replace("”", '"'))
    expect(text).to_have_value('"' + "a" * 70 + '" {phone}')

    review = page.get_by_role("button", name="Review and launch…").first
    review.click()
    expect(dialog).to_contain_text("Something is missing yet")
    dialog.get_by_role("button", name="Go on writing").click()
    page.get_by_label("Name", exact=True).fill("From the composer")
    review.click()
    expect(dialog).to_contain_text("From the composer")
    expect(dialog).to_contain_text("Starts at once")
    dialog.get_by_role("button", name="Launch to 3 contacts").click()
    expect(page.get_by_role("heading", name="From the composer")).to_be_visible()


def test_an_answer_that_comes_late_is_not_waited_for(api: Api, page: Page) -> None:
    add_contacts(api, TAG, 1)
    page.goto("/campaigns/new/")
    text = page.get_by_label("Text", exact=True)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route(re.compile("/preview/"), hold, times=1)
    with page.expect_request(re.compile("/preview/")):
        text.fill("First")
    with page.expect_event("requestfailed", lambda request: "/preview/" in request.url):
        text.fill("Second")
    expect(page.get_by_role("region", name="Preview")).to_contain_text("Second")
    assert len(held) == 1
