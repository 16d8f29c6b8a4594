"""The main job in a browser: from the sign-in page to the last message."""

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import pick, sign_in
from tests.stack import Api, Stack, add_contacts

TAG, RATE, BEFOREHAND = "clicks", 5, 40
PHONE, NAME = "+7 999 765-43-21", "Поздняя"


def section(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="Main menu").get_by_role("link", name=name).click()


def add_contact(page: Page, phone: str, last_name: str) -> None:
    section(page, "Contacts")
    page.get_by_role("link", name="Add contact").click()
    page.get_by_label("Phone").fill(phone)
    page.get_by_label("Last name").fill(last_name)
    page.get_by_label("Tags").fill(TAG)
    page.get_by_role("button", name="Add contact").click()
    expect(page.get_by_role("heading", name=last_name)).to_be_visible()


def compose_and_launch(page: Page) -> None:
    section(page, "Campaigns")
    page.get_by_role("link", name="New campaign").first.click()
    page.get_by_label("Name", exact=True).fill("By clicks")
    page.get_by_label("Text", exact=True).fill("{first_name|friend}, it works.")
    pick(page, TAG)
    page.get_by_label("Speed limit, messages per second").fill(str(RATE))
    page.get_by_role("button", name="Review and launch…").first.click()
    page.get_by_role("button", name=f"Launch to {BEFOREHAND + 1} contacts").click()


def figures(page: Page) -> dict[str, int]:
    """The labels and numbers of the progress card."""
    pairs = page.get_by_role("region", name="Progress").locator("dl > div").all_inner_texts()
    return {label: int(number) for label, number, *_ in (pair.split("\n") for pair in pairs)}


def test_a_campaign_from_sign_in_to_its_end(stack: Stack, api: Api, page: Page) -> None:
    add_contacts(api, TAG, BEFOREHAND)
    stack.sandbox.faults = stack.sandbox.faults.updated({"error": 0.05})
    sign_in(page)
    add_contact(page, "8 (999) 765-43-20", "Ранняя")
    compose_and_launch(page)
    progress = page.get_by_role("region", name="Progress")

    expect(progress).to_contain_text(re.compile(r"[1-9]\d* of \d+ messages"), timeout=20_000)
    page.evaluate("window.loadedOnce = true")
    first = figures(page)["Sent"]
    second_tab = page.context.new_page()
    second_tab.goto("/")
    add_contact(second_tab, PHONE, NAME)
    second_tab.close()
    expect(progress).not_to_contain_text(re.compile(rf"\b{first} of"))
    assert figures(page)["Sent"] > first
    assert page.evaluate("window.loadedOnce"), "the figures moved because the page was loaded again"

    expect(page.get_by_role("main").get_by_text("Finished", exact=True)).to_be_visible(timeout=60_000)
    expect(progress).to_contain_text(f"{BEFOREHAND + 2} of {BEFOREHAND + 2} messages")
    assert sum(figures(page).values()) == figures(page)["Sent"] == BEFOREHAND + 2
    assert stack.sandbox.ledger.accepted == BEFOREHAND + 2
    assert stack.sandbox.ledger.conflicts == 0

    page.get_by_label("Phone, name or provider’s ID").fill(NAME)
    message = page.get_by_role("row").filter(has_text=NAME)
    expect(message).to_contain_text("Sent")
    expect(page.get_by_role("row")).to_have_count(2)
    address = message.get_by_role("link").get_attribute("href") or ""
    assert int(address.rstrip("/").rpartition("/")[2]) in stack.sandbox.ledger.messages
