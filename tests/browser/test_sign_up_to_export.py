"""From sign-up to export in a browser: on a desktop in English, on a phone in Russian. Axe checks each page."""

import csv
import itertools
import re
from dataclasses import dataclass

import pytest
from django.utils import translation
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import accessibility_problems, collect_problems, pick
from tests.stack import PASSWORD, Stack, wait_for

PEOPLE, RATE = 8, 4
_phones = itertools.count(79_180_000_000)


@dataclass
class Visitor:
    """A user with one screen size and one language."""

    page: Page
    language: str

    def read(self, text: str) -> str:
        """The page's translation of that English text."""
        with translation.override(self.language):
            return translation.gettext(text)

    def press(self, text: str) -> None:
        self.page.get_by_role("button", name=self.read(text), exact=True).first.click()

    def follow(self, text: str) -> None:
        self.page.get_by_role("link", name=self.read(text), exact=True).first.click()

    def section(self, text: str) -> None:
        """Open a section by the rail on a desktop, by the bottom bar on a phone."""
        navigation = self.page.get_by_role("navigation", name=self.read("Main menu"))
        navigation.get_by_role("link", name=self.read(text), exact=True).click()

    def see(self, path: str) -> None:
        """Check that the page is open and accessible."""
        self.page.wait_for_url(re.compile(path))
        assert accessibility_problems(self.page) == [], self.page.url

    def act(self, action: str) -> None:
        """Press the button of this action on a campaign's page."""
        self.page.locator(f"form[action$='/{action}/'] > button[type=submit]").first.click()
        expect(self.page.locator(".toast").first).to_be_visible()

    def state(self, text: str, seconds: float = 30) -> None:
        """Wait until the campaign has that status, without a reload."""
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
    page.get_by_label(visitor.read("Tags for all contacts")).fill(tag)
    visitor.press("Start import")
    expect(page.locator("main .badge.good")).to_be_visible(timeout=30_000)
    assert accessibility_problems(page) == []


def launch(visitor: Visitor, tag: str) -> None:
    page = visitor.page
    visitor.section("Campaigns")
    visitor.see("/campaigns/$")
    visitor.follow("New campaign")
    visitor.see("/campaigns/new/$")
    page.locator("[name=name]").fill(tag)
    page.locator("[name=text]").fill("{first_name|friend}, it works.")
    pick(page, tag)
    page.locator("[name=rate_limit]").fill(str(RATE))
    expect(page.locator("#preview")).to_contain_text(str(PEOPLE))
    assert accessibility_problems(page) == []
    page.locator("[data-dialog=review]:visible").first.click()
    expect(page.locator("dialog [value=launch]")).to_be_visible()
    assert accessibility_problems(page) == []
    page.locator("dialog [value=launch]").click()
    visitor.see(r"/campaigns/\d+/$")


def watch(visitor: Visitor, stack: Stack) -> None:
    """Pause while the gateway is down, resume when it refuses everything, and retry what it refused."""
    page = visitor.page
    visitor.state("Running")
    visitor.act("pause")
    visitor.state("Paused")
    assert accessibility_problems(page) == []
    stack.sandbox.faults = stack.sandbox.faults.updated({"unavailable": 0, "refuse": 1})
    visitor.act("resume")
    visitor.state("Finished", seconds=60)
    expect(page.locator("#why")).to_be_visible()
    assert accessibility_problems(page) == []
    assert stack.sandbox.ledger.accepted == 0
    stack.sandbox.faults = stack.sandbox.faults.updated({"refuse": 0})
    visitor.page.locator("[data-dialog=retry]").click()
    visitor.page.locator("#retry [type=submit]").click()
    expect(visitor.page.locator(".toast").first).to_be_visible()
    wait_for(lambda: stack.sandbox.ledger.accepted == PEOPLE, "the messages that were refused")
    visitor.state("Finished")


def report(visitor: Visitor, tag: str) -> list[str]:
    """The campaign's row in the exported report."""
    page = visitor.page
    visitor.section("Reports")
    visitor.see("/reports/$")
    visitor.press("Export")
    assert accessibility_problems(page) == []
    with page.expect_download() as download:
        page.locator("a[href^='/reports/campaigns.csv']:visible").first.click()
    rows = csv.reader(download.value.path().read_text("utf-8-sig").splitlines())
    return next(row for row in rows if tag in row)


@pytest.mark.parametrize(("width", "language"), [(1440, "en"), (390, "ru")])
def test_the_whole_way(width: int, language: str, stack: Stack, browser: Browser, base_url: str) -> None:
    stack.fresh_api()
    stack.sandbox.faults = stack.sandbox.faults.updated({"unavailable": 1})
    tag = f"whole-{language}"
    screen = {"width": width, "height": 900}
    with browser.new_context(base_url=base_url, viewport=screen, reduced_motion="reduce") as context:  # type: ignore[arg-type]
        visitor = Visitor(context.new_page(), language)
        complaints = collect_problems(visitor.page, base_url)
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
