"""Extreme user input does not break pages: maximum length, no spaces, right to left."""

from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.stack import Api, add_contacts

WORD = "Вольфшлегельштайнхаузенбергердорф"
# Cards that scroll sideways, and elements that exceed the screen, except tabs.
TOO_WIDE = """
() => [document.documentElement, ...document.querySelectorAll("main :not(.tabs *)")]
    .filter((element) => element.checkVisibility() && getComputedStyle(element).position !== "absolute")
    .filter((element) => element.getBoundingClientRect().right > innerWidth + 1
        || (element.matches("html, .card") && element.scrollWidth > element.clientWidth + 1))
    .map((element) => `${element.tagName}.${element.className} ${element.scrollWidth} px`)
"""


@pytest.fixture
def browser_context_args(browser_context_args: dict[str, object], session: Path) -> dict[str, object]:
    return {**browser_context_args, "storage_state": session, "reduced_motion": "reduce"}


def test_long_words_do_not_break_the_layout(api: Api, page: Page) -> None:
    name, tag = (WORD * 3)[:90], (WORD * 2)[:50]
    person = {"first_name": name, "last_name": name, "tags": [tag, "<b>&amp;"], "attributes": {tag[:40]: WORD * 6}}
    contact = api.call("POST", "/contacts", 201, phone="79170001122", **person)["id"]
    add_contacts(api, "rubbish", 1)
    text = {"text": WORD * 5, "audience": {"tags": [tag]}, "ends_at": "2040-01-01T00:00:00Z"}
    draft = api.call("POST", "/campaigns", 201, name=(WORD * 6)[:200], status="draft", **text)["id"]
    later = api.call("POST", "/campaigns", 201, name="W" * 200, starts_at="2039-01-01T00:00:00Z", **text)["id"]
    found: dict[tuple[str, int], list[str]] = {}
    for path in (
        "/",
        "/campaigns/",
        "/campaigns/new/",
        f"/campaigns/{draft}/",
        f"/campaigns/{draft}/edit/",
        f"/campaigns/{later}/",
        "/contacts/",
        f"/contacts/{contact}/",
        "/contacts/tags/",
        "/contacts/audiences/new/",
        f"/find/?q={WORD[:5]}",
    ):
        page.goto(path)
        for width in (1440, 390):
            page.set_viewport_size({"width": width, "height": 900})
            if too_wide := page.evaluate(TOO_WIDE):
                found[path, width] = too_wide
    assert found == {}
    api.call("POST", "/contacts", 201, phone="79170001123", first_name="Ирина")
    page.goto("/contacts/?q=7917000112")
    page.set_viewport_size({"width": 800, "height": 900})
    short = page.get_by_role("cell", name="Ирина", exact=True).get_by_role("link").first.bounding_box()
    assert short
    assert short["height"] < 30, "a short word is broken, too"
    for campaign in (draft, later):
        api.call("DELETE", f"/campaigns/{campaign}", 204)
