"""Bulk actions in a browser: on ticked contacts, and on all that match."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.stack import Api, add_contacts

TAG, NUMBER = "bulk", 55


@pytest.fixture
def browser_context_args(browser_context_args: dict[str, object], session: Path) -> dict[str, object]:
    return {**browser_context_args, "storage_state": session}


def test_ticked_contacts_and_all_that_match_are_changed(api: Api, page: Page) -> None:
    add_contacts(api, TAG, NUMBER)
    page.goto(f"/contacts/?tag={TAG}")
    bar, dialog = page.locator(".bulk-bar"), page.get_by_role("dialog")
    expect(bar.get_by_role("button", name="Add a tag…")).to_be_hidden()

    page.get_by_role("row").nth(1).get_by_role("checkbox").check()
    page.get_by_role("row").nth(2).get_by_role("checkbox").check()
    expect(bar).to_contain_text("Selected: 2")
    bar.get_by_role("button", name="Add a tag…").click()
    expect(dialog).to_contain_text("Add a tag to 2 contacts")
    dialog.get_by_label("Tag", exact=True).fill("chosen")
    dialog.get_by_role("button", name="Add tag").click()
    expect(page.get_by_text("2 contacts changed.")).to_be_visible()
    expect(page.locator("tbody").get_by_text("chosen", exact=True)).to_have_count(2)

    page.wait_for_load_state()  # until the scripts are loaded

    page.get_by_label("Select all on this page").check()
    expect(bar).to_contain_text("Selected: 50")
    page.get_by_label(f"All {NUMBER} matching").check()
    bar.get_by_role("button", name="Deactivate…").click()
    expect(dialog).to_contain_text(f"Deactivate {NUMBER} contacts?")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_be_hidden()
    bar.get_by_role("button", name="Deactivate…").click()
    dialog.get_by_role("button", name=f"Deactivate {NUMBER} contacts").click()
    expect(page.get_by_text(f"{NUMBER} contacts changed.")).to_be_visible()
    expect(page.get_by_text("No contacts match these filters.")).to_be_visible()

    page.wait_for_load_state()
    page.get_by_label("Status").select_option("deactivated")
    expect(page.locator("#announcement")).to_have_text(f"{NUMBER} contacts")
    page.get_by_label(f"All {NUMBER} matching").check()
    bar.get_by_role("button", name="Reactivate…").click()
    dialog.get_by_role("button", name=f"Reactivate {NUMBER} contacts").click()
    expect(page.get_by_text(f"{NUMBER} contacts changed.")).to_be_visible()
