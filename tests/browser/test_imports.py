"""Importing a file in a browser, from dropping it to the report."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.stack import Stack

HEAD = "Телефон;Имя;Фамилия;Город\r\n"
FILE = "клиенты.csv"


@pytest.fixture
def browser_context_args(browser_context_args: dict[str, object], session: Path) -> dict[str, object]:
    """A signed-in administrator."""
    return {**browser_context_args, "storage_state": session}


def drop(page: Page, content: bytes, name: str = FILE) -> None:
    """Drop a file on the field, once the scripts are loaded."""
    page.wait_for_load_state()
    transfer = page.evaluate_handle(
        """([bytes, name]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], name));
            return transfer;
        }""",
        [list(content), name],
    )
    field = page.get_by_label("Drop a CSV or XLSX file here")
    field.dispatch_event("dragenter", {"dataTransfer": transfer})
    expect(page.locator(".drop")).to_have_class(re.compile("over"))
    field.dispatch_event("drop", {"dataTransfer": transfer})
    field.evaluate("(field, transfer) => { field.files = transfer.files; }", transfer)
    field.dispatch_event("change")


def test_from_dropping_a_file_to_the_report_and_back(stack: Stack, page: Page) -> None:
    people = "".join(f"+7 (901) 700-{n // 100:02}-{n % 100:02};Анна;Ким;Омск\r\n" for n in range(1200))
    page.goto("/contacts/")
    page.get_by_role("link", name="Import", exact=True).click()
    drop(page, bytes(range(256)) * 20)
    expect(page.get_by_role("alert")).to_contain_text("neither CSV nor XLSX")
    drop(page, (HEAD + people + "12;Без;Номера;\r\n").encode("cp1251"))

    expect(page.get_by_role("heading", name=FILE)).to_be_visible()
    expect(page.get_by_label("Телефон")).to_have_value("phone")
    expect(page.get_by_role("row").filter(has_text="Имя")).to_contain_text("Анна · Анна · Анна")
    page.get_by_label("Encoding").select_option("koi8-r")
    expect(page.get_by_role("table")).not_to_contain_text("Анна")
    page.get_by_label("Encoding").select_option("cp1251")
    expect(page.get_by_label("Имя")).to_have_value("first_name")
    page.get_by_label("Город").select_option("Skip")
    page.get_by_label("Tags for all contacts").fill("dropped")
    page.get_by_role("button", name="Start import").click()

    progress = page.get_by_role("region", name="Progress")
    expect(page.get_by_role("main").get_by_text("Finished", exact=True)).to_be_visible(timeout=30_000)
    expect(progress).to_contain_text("1 201 of 1 201 rows")
    expect(page.get_by_role("row").filter(has_text="1 202")).to_contain_text("Phone: Enter a phone number")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as CSV").click()
    fixed = download.value.path().read_bytes().replace(b"12,", b"+7 901 700-99-99,")

    page.get_by_role("link", name="Import another file").click()
    drop(page, fixed, "fixed.csv")
    expect(page.get_by_label("reason")).to_have_value("")
    page.get_by_role("button", name="Start import").click()
    expect(page.get_by_role("main").get_by_text("Finished", exact=True)).to_be_visible(timeout=30_000)
    expect(progress).to_contain_text("1 of 1 row")

    page.goto("/contacts/?tag=dropped")
    expect(page.get_by_role("status").filter(has_text="1 200 contacts")).to_be_visible()
    page.goto("/contacts/imports/")
    page.get_by_role("link", name=FILE).click()
    page.get_by_role("button", name="Undo…").click()
    page.get_by_role("button", name="Undo import").click()
    expect(progress).to_contain_text("1 200 contacts deleted", timeout=30_000)
    page.goto("/contacts/?tag=dropped")
    expect(page.get_by_role("status").filter(has_text="0 contacts").first).to_be_visible()
