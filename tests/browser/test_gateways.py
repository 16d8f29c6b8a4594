"""Setting up a provider: from the choice to a test message and its place in the log."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from campaigns.gateways.definitions.presets import presets, starting_point
from campaigns.gateways.definitions.schema import load
from campaigns.sandbox.dialect import Dialect
from campaigns.sandbox.faults import Faults
from campaigns.sandbox.server import ProviderSandbox, serving
from tests.browser.conftest import accessibility_problems, collect_problems
from tests.browser.test_pages import NewContext
from tests.stack import Stack

SECRET = "s3cret-token"
OWN = (
    starting_point()
    + """
[[examples.answers]]
status = 200
body = '{"message": {"id": "m-17"}}'
outcome = "accepted"
ids = ["m-17"]
"""
)


@pytest.fixture
def page(new_context: NewContext, session: Path, stack: Stack) -> Iterator[Page]:
    """A page of an administrator, where nothing may go wrong."""
    page = new_context(storage_state=session).new_page()
    page.on("dialog", lambda dialog: dialog.accept())
    complaints = collect_problems(page, stack.url)
    yield page
    assert complaints == []
    assert SECRET not in page.content()


def send_a_test(page: Page) -> None:
    page.get_by_text("Send a test to my phone").click()
    form = page.locator("#send-form")
    form.get_by_label("Phone").fill("8 (999) 123-45-67")
    form.get_by_label("Text").fill("A very private text")
    form.get_by_label("Sender name").fill("Acme")
    form.get_by_role("button", name="Send one message now").click()
    expect(form.get_by_text("Accepted.")).to_be_visible()
    assert accessibility_problems(page) == []


def test_a_preset_is_found_entered_and_tried(page: Page) -> None:
    with serving(twilio := ProviderSandbox(Faults(), token=SECRET, dialect=Dialect(presets()["twilio"], SECRET))):
        page.goto("/gateways/new/")
        search = page.get_by_role("searchbox", name="Search providers")
        search.fill("no such provider")
        expect(page.get_by_text("No provider here has this name.")).to_be_visible()
        search.fill("TWI")
        expect(page.locator("#providers > li:visible")).to_have_count(1)
        page.get_by_role("link", name="Twilio").click()
        page.get_by_label("Name", exact=True).fill("own-twilio")
        page.get_by_label("Address").fill(twilio.url)
        page.get_by_label("Account SID").fill("AC123")
        page.get_by_label("Auth Token").fill(SECRET)
        page.get_by_role("button", name="Show the request").click()
        expect(page.get_by_text("Authorization: Basic •••")).to_be_visible()
        expect(page.get_by_label("Auth Token")).to_have_value(SECRET)
        page.get_by_role("button", name="Add gateway").click()
        expect(page.get_by_role("heading", name="own-twilio")).to_be_visible()
        page.get_by_role("button", name="Check", exact=True).click()
        expect(page.get_by_text("Balance: 100.00.")).to_be_visible()
        send_a_test(page)
        assert twilio.ledger.last[-1].message.text == "A very private text"
        log = page.locator("#exchanges")
        expect(log.get_by_text("Accepted")).to_be_visible()
        expect(log.get_by_text("From the gateway").first).to_be_visible(timeout=20_000)
        assert "A very private text" not in log.inner_text()
        page.get_by_text("Paste a sample").click()
        sample = page.locator("#sample-form")
        sample.get_by_label("HTTP status").fill("400")
        sample.get_by_label("Body").fill('{"code": 21211}')
        sample.get_by_role("button", name="What does it mean?").click()
        expect(sample.get_by_text("this phone number does not exist")).to_be_visible()
        assert accessibility_problems(page) == []


def test_a_description_of_ones_own_is_written_and_tried(page: Page) -> None:
    with serving(provider := ProviderSandbox(Faults(), token=SECRET, dialect=Dialect(load(OWN), SECRET))):
        page.goto("/gateways/new/")
        page.get_by_role("link", name="Another provider").click()
        page.get_by_label("API token").fill(SECRET)
        page.get_by_role("textbox", name="Description").fill(OWN.replace("version = 1", "version = 2"))
        expect(page.get_by_text("version: Input should be 1")).to_be_visible()
        account = '[fields.account]\nlabel = "My account"\nrequired = false\n[fields.token]'
        page.get_by_role("textbox", name="Description").fill(OWN.replace("[fields.token]", account))
        expect(page.get_by_label("My account")).to_be_visible()
        expect(page.get_by_text("version: Input should be 1")).to_have_count(0)
        expect(page.get_by_label("API token")).to_have_value(SECRET)
        assert accessibility_problems(page) == []
        page.get_by_label("Name", exact=True).fill("own-provider")
        page.get_by_label("Address").fill(provider.url)
        page.get_by_role("button", name="Add gateway").click()
        expect(page.get_by_role("heading", name="own-provider")).to_be_visible()
        for rate in ("50", "60"):  # what is stored differs from what was typed: 50.0, and no line break at the end
            page.get_by_role("textbox", name="Description").fill(f"{OWN}# {rate}\n\n")
            page.get_by_role("button", name="Save").click()
            expect(page.get_by_text("Gateway saved.").first).to_be_visible()
            expect(page.get_by_text("This is unsaved input from an earlier visit.")).to_be_hidden()
        send_a_test(page)


def test_the_choice_and_the_request_need_no_script(new_context: NewContext, session: Path) -> None:
    page = new_context(storage_state=session, java_script_enabled=False).new_page()
    page.goto("/gateways/new/")
    expect(page.get_by_role("searchbox", name="Search providers")).to_have_count(0)
    page.get_by_role("link", name="Kannel").click()
    page.get_by_label("Address").fill("http://127.0.0.1:13013")
    page.get_by_label("User").fill("me")
    page.get_by_role("button", name="Show the request").click()
    expect(page.get_by_text("username=me&password=•••")).to_be_visible()
    page.goto("/gateways/probe/")
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.get_by_text("responds and accepts the credentials")).to_be_visible()
