"""Swagger UI as a reader uses it, cut off from every other host."""

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
    expect(page.get_by_role("heading", name=re.compile(r"^Vestnik \d"))).to_be_visible()

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
