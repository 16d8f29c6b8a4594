"""The composer as a marketer uses it: preview, samples, corrections, review and launch."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import pick
from tests.stack import Api, add_contacts

TAG = "composer"


@pytest.fixture
def browser_context_args(browser_context_args: dict[str, object], session: Path) -> dict[str, object]:
    return {**browser_context_args, "storage_state": session}


def test_a_campaign_is_previewed_corrected_reviewed_and_launched(api: Api, page: Page) -> None:
    add_contacts(api, TAG, 3)
    page.goto("/campaigns/new/")
    text, size = page.get_by_label("Text", exact=True), page.locator("#size")
    preview, dialog = page.get_by_role("region", name="Preview"), page.get_by_role("dialog")
    shown = preview.locator("[data-sample]:not([hidden]) .bubble")

    text.fill("“" + "a" * 70 + "” {phone}")
    pick(page, TAG)
    expect(page.locator("#preview")).to_contain_text("3 contacts")
    expect(size).to_contain_text("because of “ ”")
    first = shown.inner_text()
    page.get_by_role("button", name="Next contact").click()
    expect(preview).to_contain_text("2 of 3")
    page.keyboard.press("ArrowRight")
    expect(preview).to_contain_text("3 of 3")
    last = shown.inner_text()
    assert first != last
    page.get_by_role("button", name="Use the standard alphabet").click()
    expect(size).to_contain_text("Standard")
    expect(shown).to_have_text(last.replace("“", '"').replace("”", '"'))
    expect(text).to_have_value('"' + "a" * 70 + '" {phone}')

    review = page.get_by_role("button", name="Review and launch…").first
    review.click()
    expect(dialog).to_contain_text("Complete these fields first")
    dialog.get_by_role("button", name="Back to editing").click()
    page.get_by_label("Name", exact=True).fill("From the composer")
    review.click()
    expect(dialog).to_contain_text("From the composer")
    expect(dialog).to_contain_text("Starts immediately")
    dialog.get_by_role("button", name="Launch to 3 contacts").click()
    expect(page.get_by_role("heading", name="From the composer")).to_be_visible()


def test_a_late_response_is_ignored(api: Api, page: Page) -> None:
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


def test_many_tags_are_searched_by_keyboard(api: Api, page: Page) -> None:
    add_contacts(api, TAG, 1)
    contact = api.call("GET", f"/contacts?tag={TAG}")["items"][0]["id"]
    api.call("PATCH", f"/contacts/{contact}", tags=[TAG, *(f"many {number}" for number in range(40))])
    page.goto("/campaigns/new/")
    tags = page.get_by_role("group", name=re.compile("^Tags"))
    assert tags.get_by_role("checkbox").count() == 24
    search = tags.get_by_role("searchbox", name="Search")
    search.fill("many 39")
    page.keyboard.press("Enter")
    expect(tags.get_by_role("checkbox")).to_have_count(1)
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.locator("#preview")).to_contain_text("1 contact")
    search.fill("")
    expect(tags.get_by_role("checkbox", name="many 39")).to_be_checked()
    assert page.evaluate("document.documentElement.scrollHeight") < 4000


def test_one_of_many_attributes_is_found_by_typing(api: Api, page: Page) -> None:
    attributes = {f"field_{number:02}": "x" for number in range(30)}
    api.call("POST", "/contacts", 201, phone="79169990001", attributes=attributes, tags=[TAG])
    page.goto("/campaigns/new/")
    page.locator("summary", has_text="More conditions").click()
    field = page.locator("[data-suggest]").first
    field.click()
    offered = page.locator(".offered")
    expect(offered.get_by_role("status")).to_contain_text("more: use the search")
    field.press_sequentially("field_29")
    expect(offered.get_by_role("button")).to_have_count(0)
    field.fill("d_2")
    expect(offered.get_by_role("button")).to_have_count(10)
    offered.get_by_role("button", name="field_27").click()
    expect(field).to_have_value("field_27")
    expect(field).to_be_focused()
    expect(offered).to_be_hidden()
