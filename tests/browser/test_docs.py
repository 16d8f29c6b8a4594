"""Swagger UI as a reader sees it."""

from urllib.parse import urlsplit

from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer


def test_the_api_can_be_read_without_internet_access(live_server: LiveServer, page: Page) -> None:
    hosts: set[str] = set()
    errors: list[str] = []
    page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{live_server.url}/docs/")
    expect(page.get_by_role("heading", name="Vestnik")).to_be_visible()
    expect(page.get_by_text("/api/v1/contacts").first).to_be_visible()
    assert hosts - {""} == {urlsplit(live_server.url).netloc}
    assert errors == []
