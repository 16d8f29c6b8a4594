"""Swagger UI in a browser without access to other hosts."""

import re
from urllib.parse import urlsplit

from playwright.sync_api import Page, Route, expect

from tests.stack import Api, add_contacts


def test_the_api_can_be_read_and_tried_without_internet_access(api: Api, page: Page, base_url: str) -> None:
    add_contacts(api, "swagger", 1)
    strange: list[str] = []
    errors: list[str] = []

    def only_here(route: Route) -> None:
        if urlsplit(route.request.url).netloc == urlsplit(base_url).netloc:
            route.continue_()
        else:
            strange.append(route.request.url)
            route.abort()

    page.route("http*://**", only_here)
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto("/docs/")
    expect(page.get_by_role("heading", name=re.compile(r"^Vestnik \d"))).to_be_visible(timeout=30_000)

    page.get_by_role("button", name="Authorize").first.click()
    page.locator("#auth-bearer-value").fill(str(api.headers["Authorization"]).removeprefix("Bearer "))
    page.get_by_role("button", name="Apply credentials").first.click()
    page.get_by_role("button", name="Close").last.click()
    contacts = page.locator(".opblock").filter(has_text="List contacts")
    contacts.get_by_role("button").first.click()
    contacts.get_by_role("button", name="Try it out").click()
    contacts.get_by_role("button", name="Execute").click()

    answer = contacts.locator(".live-responses-table tr.response")
    expect(answer.locator(".response-col_status")).to_contain_text("200")
    expect(answer).to_contain_text('"swagger"')
    assert (strange, errors) == ([], [])


def test_an_id_beyond_the_numbers_of_javascript_is_shown_exactly(api: Api, page: Page) -> None:
    large = '{"id":9223372036854775807,"status":"sent","note":"1234567890123456789, \\"quoted\\""}'
    page.route(
        "**/api/v1/messages/*",
        lambda route: route.fulfill(status=200, headers={"Content-Type": "application/json"}, body=large),
    )
    page.goto("/docs/")
    call = page.locator(".opblock").filter(has_text="Show a message")
    call.get_by_role("button").first.click()
    call.get_by_role("button", name="Try it out").click()
    call.get_by_placeholder("message_id").fill("9223372036854775807")
    call.get_by_role("button", name="Execute").click()
    answer = call.locator(".live-responses-table tr.response")
    expect(answer).to_contain_text('"id": 9223372036854775807')
    expect(answer).to_contain_text("1234567890123456789")


def test_a_call_can_be_made_twice_with_other_bodies(page: Page) -> None:
    page.goto("/docs/")
    call = page.locator(".opblock").filter(has_text="Add a contact")
    call.get_by_role("button").first.click()
    call.get_by_role("button", name="Try it out").click()
    expect(call.get_by_placeholder("Idempotency-Key")).to_have_value("")
