"""From sign-up to the export by clicks: on a desk in English, on a phone in Russian. Axe looks at each page."""

import csv
import itertools
import re
from dataclasses import dataclass

import pytest
from django.utils import translation
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import barriers, complaints_of
from tests.stack import PASSWORD, Stack, wait_for

PEOPLE, RATE = 8, 4
_phones = itertools.count(79_180_000_000)


@dataclass
class Visitor:
    """Somebody at one screen who reads one language."""

    page: Page
    language: str

    def read(self, text: str) -> str:
        """What stands on the page for that English text."""
        with translation.override(self.language):
            return translation.gettext(text)

    def press(self, text: str) -> None:
        self.page.get_by_role("button", name=self.read(text), exact=True).first.click()

    def follow(self, text: str) -> None:
        self.page.get_by_role("link", name=self.read(text), exact=True).first.click()

    def section(self, text: str) -> None:
        """By the rail on a desk, by the bar at the bottom on a phone."""
        navigation = self.page.get_by_role("navigation", name=self.read("Main"))
        navigation.get_by_role("link", name=self.read(text), exact=True).click()

    def see(self, path: str) -> None:
        """Arrive at the page, which nothing keeps anybody from using."""
        self.page.wait_for_url(re.compile(path))
        assert barriers(self.page) == [], self.page.url

    def act(self, action: str) -> None:
        """Press the button that does this to a campaign, wherever on its page it is."""
        self.page.locator(f"form[action$='/{action}/'] > button[type=submit]").first.click()
        expect(self.page.locator(".toast").first).to_be_visible()

    def state(self, text: str, seconds: float = 30) -> None:
        """Wait until the campaign is in that state, without a reload."""
        badge = self.page.get_by_role("main").locator("h1 ~ .badge, .page-head .badge").first
        expect(badge).to_have_text(self.read(text), timeout=seconds * 1000)


def sign_up(visitor: Visitor) -> None:
    page = visitor.page
    page.goto("/accounts/login/")
    page.locator(f"[name=language][value={visitor.language}]").click()
    expect(page.locator("html")).to_have_attribute("lang", visitor.language)
    page.locator("a[href^='/accounts/signup/']").click()
    visitor.see("/accounts/signup/")
    for name, value in (("first_name", "Vera"), ("last_name", "Orlova"), ("email", f"{visitor.language}@example.org")):
        page.locator(f"[name={name}]").fill(value)
    for name in ("password1", "password2"):
        page.locator(f"[name={name}]").fill(PASSWORD)
    page.locator("main [type=submit]").click()
    visitor.see("/$")


def import_people(visitor: Visitor, tag: str) -> None:
    page = visitor.page
    rows = "".join(f"{phone};Анна;Ким\n" for phone in itertools.islice(_phones, PEOPLE))
    visitor.section("Contacts")
    visitor.see("/contacts/$")
    visitor.follow("Import")
    visitor.see("/contacts/imports/$")
    page.wait_for_load_state()
    file = {"name": "people.csv", "mimeType": "text/csv", "buffer": f"Телефон;Имя;Фамилия\n{rows}".encode()}
    page.locator("input[type=file]").set_input_files(file)  # type: ignore[arg-type]
    visitor.see(r"/contacts/imports/\d+/$")
    page.get_by_label(visitor.read("Tags for all of them")).fill(tag)
    visitor.press("Import the contacts")
    expect(page.locator("main .badge.good")).to_be_visible(timeout=30_000)
    assert barriers(page) == []


def launch(visitor: Visitor, tag: str) -> None:
    page = visitor.page
    visitor.section("Campaigns")
    visitor.see("/campaigns/$")
    visitor.follow("New campaign")
    visitor.see("/campaigns/new/$")
    page.locator("[name=name]").fill(tag)
    page.locator("[name=text]").fill("{first_name|friend}, it works.")
    page.get_by_role("checkbox", name=tag, exact=True).check()
    page.locator("[name=rate_limit]").fill(str(RATE))
    expect(page.locator("#preview")).to_contain_text(str(PEOPLE))
    assert barriers(page) == []
    page.locator("[data-dialog=review]:visible").first.click()
    expect(page.locator("dialog [value=launch]")).to_be_visible()
    assert barriers(page) == []
    page.locator("dialog [value=launch]").click()
    visitor.see(r"/campaigns/\d+/$")


def watch(visitor: Visitor, stack: Stack) -> None:
    """Some are refused; pause, mend the gateway, resume, and try the refused ones again."""
    page = visitor.page
    visitor.state("Running")
    expect(page.locator("#why")).to_be_visible(timeout=20_000)
    visitor.act("pause")
    visitor.state("Paused")
    assert barriers(page) == []
    stack.sandbox.faults = stack.sandbox.faults.updated({"refuse": 0})
    assert stack.sandbox.ledger.accepted == 0
    visitor.act("resume")
    visitor.state("Finished")
    assert barriers(page) == []
    refused = PEOPLE - stack.sandbox.ledger.accepted
    assert refused > 0
    visitor.page.locator("[data-dialog=retry]").click()
    visitor.page.locator("#retry [type=submit]").click()
    expect(visitor.page.locator(".toast").first).to_be_visible()
    wait_for(lambda: stack.sandbox.ledger.accepted == PEOPLE, "the messages that were refused")
    visitor.state("Finished")


def report(visitor: Visitor, tag: str) -> list[str]:
    """The campaign's row of the exported report."""
    page = visitor.page
    visitor.section("Reports")
    visitor.see("/reports/$")
    visitor.press("Export")
    assert barriers(page) == []
    with page.expect_download() as download:
        page.locator("a[href='/reports/campaigns.csv']:visible").first.click()
    rows = csv.reader(download.value.path().read_text("utf-8-sig").splitlines())
    return next(row for row in rows if tag in row)


@pytest.mark.parametrize(("width", "language"), [(1440, "en"), (390, "ru")])
def test_the_whole_way(width: int, language: str, stack: Stack, browser: Browser, base_url: str) -> None:
    stack.fresh_api()
    stack.sandbox.faults = stack.sandbox.faults.updated({"refuse": 1})
    tag = f"whole-{language}"
    screen = {"width": width, "height": 900}
    with browser.new_context(base_url=base_url, viewport=screen, reduced_motion="reduce") as context:  # type: ignore[arg-type]
        visitor = Visitor(context.new_page(), language)
        complaints = complaints_of(visitor.page, base_url)
        sign_up(visitor)
        import_people(visitor, tag)
        launch(visitor, tag)
        watch(visitor, stack)
        row = report(visitor, tag)
        visitor.section("Home")
        visitor.see("/$")
    assert str(PEOPLE) in row
    assert stack.sandbox.ledger.conflicts == 0
    assert complaints == []
