"""A running campaign's page: it updates in place, without moving elements or losing open details."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.stack import Api, add_contacts, launch, wait_for

TAG, NUMBER, RATE = "watched", 16, 4
WATCH = """
window.shift = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shift += entry.value;
}).observe({ type: "layout-shift" });
"""


@pytest.fixture
def browser_context_args(browser_context_args: dict[str, object], session: Path) -> dict[str, object]:
    return {**browser_context_args, "storage_state": session}


def test_figures_change_in_place_and_open_details_stay_open(api: Api, page: Page) -> None:
    add_contacts(api, TAG, NUMBER)
    campaign = launch(api, TAG, rate_limit=RATE)
    wait_for(lambda: api.call("GET", f"/campaigns/{campaign}/stats")["by_status"]["sent"], "the first message sent")
    page.goto(f"/campaigns/{campaign}/")
    page.evaluate(WATCH)
    page.get_by_text("Show as table").click()
    page.get_by_role("link", name=re.compile("^All")).focus()
    progress = page.get_by_role("region", name="Progress")
    for _ in range(2):
        seen = progress.inner_text()
        expect(progress).not_to_have_text(seen, use_inner_text=True)
    assert page.evaluate("window.shift") < 0.02

    expect(page.get_by_role("main").get_by_text("Finished", exact=True)).to_be_visible()
    expect(page.locator("#toasts")).to_contain_text(f"“{TAG}”: the status is now finished.")
    expect(progress).to_contain_text(f"{NUMBER} of {NUMBER} messages")
    assert page.evaluate("window.shift") is not None, "the page was loaded again"
    expect(page.locator("#chart-numbers")).to_have_attribute("open", "")
    expect(page.get_by_role("link", name=re.compile("^All"))).to_be_focused()
    expect(page.locator("#progress")).not_to_have_attribute("hx-get", re.compile("."))


def test_open_details_stay_open_when_the_campaign_finishes(api: Api, page: Page) -> None:
    add_contacts(api, "open", 4)
    campaign = launch(api, "open", rate_limit=1)
    wait_for(lambda: api.call("GET", f"/campaigns/{campaign}/stats")["by_status"]["sent"], "the first message sent")
    page.goto(f"/campaigns/{campaign}/")
    menu = page.get_by_role("button", name="More")
    menu.click()
    page.get_by_role("button", name="Send a test…").click()
    phone = page.get_by_role("dialog", name="Send a test").get_by_label("Phone")
    phone.fill("7917")
    with page.expect_response(lambda answer: answer.headers.get("hx-retarget") == "#main", timeout=30_000):
        pass
    page.wait_for_timeout(500)
    expect(phone).to_have_value("7917")
    expect(phone).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("main").get_by_text("Finished", exact=True)).to_be_visible()
    expect(menu).to_be_focused()
