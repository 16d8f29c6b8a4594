"""Navigation: by keyboard, back and forward, and after the session has expired."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import accessibility_problems, collect_problems, pick
from tests.stack import EMAIL, PASSWORD, Api, add_contacts, launch, wait_for


@pytest.fixture
def browser_context_args(browser_context_args: dict[str, object], session: Path) -> dict[str, object]:
    return {**browser_context_args, "storage_state": session, "reduced_motion": "reduce"}


def test_keyboard_shortcuts_open_all_pages(api: Api, page: Page, base_url: str) -> None:
    add_contacts(api, "keyboard", 1)
    launch(api, "keyboard", status="draft")  # an empty list has no search
    complaints = collect_problems(page, base_url)
    keys = page.keyboard
    page.goto("/")
    keys.press("Tab")
    keys.press("Enter")
    expect(page.locator("#main")).to_be_focused()

    keys.press("Control+k")
    palette = page.get_by_role("dialog", name="Go to")
    expect(palette.get_by_role("option", name="New campaign")).to_have_attribute("aria-selected", "true")
    assert accessibility_problems(page) == []
    keys.type("ирина")
    expect(palette.get_by_role("option").first).to_contain_text("Ирина")
    assert accessibility_problems(page) == []
    keys.press("ArrowDown")
    keys.press("ArrowUp")
    keys.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Ирина")

    page.wait_for_load_state()  # until the scripts are loaded
    keys.press("Control+k")
    keys.type("saved aud")
    keys.press("Enter")  # before the response arrives
    page.wait_for_url("**/contacts/audiences/")
    keys.press("g")
    keys.press("c")
    page.wait_for_url("**/campaigns/")
    keys.press("/")
    expect(page.get_by_role("searchbox", name="Search")).to_be_focused()
    page.reload()
    keys.press("?")
    shortcuts = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(shortcuts).to_be_visible()
    assert accessibility_problems(page) == []
    shortcuts.get_by_label("Use single-key shortcuts").uncheck()
    keys.press("Escape")
    expect(shortcuts).to_be_hidden()
    page.reload()
    keys.press("?")
    keys.press("Control+k")
    expect(palette).to_be_visible()
    expect(shortcuts).to_be_hidden()
    assert complaints == []


def test_back_reload_and_an_expired_session_lose_nothing(api: Api, page: Page) -> None:
    add_contacts(api, "expiry", 1)
    page.goto("/contacts/?sort=name")
    page.get_by_label("Status").select_option("all")
    page.wait_for_url("**/contacts/?state=all&sort=name")
    page.get_by_role("searchbox").fill("ирина")
    page.wait_for_url(re.compile(r"q=%D0%B8"))
    page.get_by_role("row").nth(1).get_by_role("link").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Ирина")
    page.go_back()
    expect(page.get_by_role("searchbox")).to_have_value("ирина")
    expect(page.get_by_label("Status")).to_have_value("all")
    expect(page.get_by_role("row").nth(1)).to_contain_text("Ирина")

    page.context.clear_cookies()
    page.get_by_label("Status").select_option("deactivated")
    page.wait_for_url("**/accounts/login/**")
    page.get_by_label(re.compile("e-?mail", re.IGNORECASE)).fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(re.compile(r"/contacts/\?.*state=all"))
    expect(page.get_by_role("searchbox")).to_have_value("ирина")
    expect(page.get_by_role("row").nth(1)).to_contain_text("Ирина")


def test_the_focus_stays_or_moves_to_the_expected_element(api: Api, page: Page) -> None:
    add_contacts(api, "focus", 20)
    campaign = launch(api, "focus", rate_limit=1)
    wait_for(lambda: api.call("GET", f"/campaigns/{campaign}/stats")["by_status"]["sent"], "the first message sent")
    for address in ("/", "/campaigns/"):
        page.goto(address)
        link = page.get_by_role("main").get_by_role("link", name="focus", exact=True).first
        link.focus()
        page.evaluate("document.activeElement.dataset.old = true")
        expect(link).not_to_have_attribute("data-old", "true")  # it has been replaced
        expect(link).to_be_focused()

    keys = page.keyboard
    api.call("POST", f"/campaigns/{campaign}/cancel")
    page.goto(f"/campaigns/{campaign}/")
    menu = page.get_by_role("button", name="More")
    menu.focus()
    keys.press("Enter")
    page.get_by_role("button", name="Delete…").focus()
    keys.press("Enter")
    expect(page.get_by_role("dialog", name="Delete this campaign?")).to_be_visible()
    keys.press("Escape")
    expect(menu).to_be_focused()

    page.goto("/reports/")
    menu = page.get_by_role("button", name="Export")
    menu.focus()
    keys.press("Enter")
    keys.press("Tab")
    expect(page.get_by_role("link", name="CSV").first).to_be_focused()
    keys.press("Escape")
    expect(menu).to_be_focused()

    page.goto("/contacts/new/")
    page.get_by_label("Phone").fill("79170009988")
    wrong = page.get_by_label("Attributes")
    wrong.fill("no colon")
    page.get_by_role("button", name="Add contact").click()
    expect(wrong).to_have_attribute("aria-invalid", "true")
    expect(wrong).to_be_focused()

    page.goto("/accounts/reauthenticate/")
    expect(page.get_by_label("Password")).to_be_focused()
    page.goto("/accounts/password/change/")  # where the first field otherwise has the focus
    expect(page.get_by_label("Current password")).to_be_focused()
    page.get_by_label("Current password").fill(PASSWORD)
    page.get_by_label("New password").fill("12345678")
    page.get_by_label("Confirm password").fill("12345678")
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_label("New password")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("New password")).to_be_focused()


def test_results_of_searches_and_audiences_are_announced(api: Api, page: Page) -> None:
    add_contacts(api, "announced", 3)
    announcement = page.locator("#announcement")
    page.goto("/contacts/tags/")
    page.get_by_role("searchbox").fill("announced")
    expect(announcement).to_have_text("1 row shown.")
    page.get_by_role("searchbox").fill("nothing-is-called-so")
    expect(announcement).to_have_text("No tag has this name.")
    for address in ("/contacts/audiences/new/", "/campaigns/new/"):
        page.goto(address)
        expect(announcement).to_have_text("")
        page.evaluate("document.getElementById('announcement').dataset.kept = true")
        pick(page, "announced")
        expect(announcement).to_contain_text("3 contacts")
        expect(announcement).to_have_attribute("data-kept", "true")  # otherwise screen readers would not announce it
