"""Page speed in Chromium: the first paint of a first visit, and the layout shift of a live page."""

import os
import tempfile
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Page, StorageState, sync_playwright

from tests.stack import EMAIL, PASSWORD, Stack, add_contacts, launch, running_stack
from tools.bench.figures import figure
from tools.browser import find

CONTACTS, RATE, WATCHED_MS = 80, 5, 12_000
PATHS: Final = {"home": "/", "campaigns": "/campaigns/", "composer": "/campaigns/new/", "contacts": "/contacts/"}
WATCH = """
() => {
    window.jumps = 0;
    new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.jumps += entry.value;
    }).observe({ type: "layout-shift", buffered: true });
}
"""


def first_paints() -> None:
    """Print the first contentful paint of each page, and the layout shift of a campaign's page during sending."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_stack(Path(folder)) as stack,
        sync_playwright() as playwright,
    ):
        api = stack.fresh_api()
        add_contacts(api, "bench", CONTACTS)
        campaign = launch(api, "bench", rate_limit=RATE)
        browser = playwright.chromium.launch(executable_path=find(), chromium_sandbox=os.geteuid() != 0)
        session = _session(browser, stack)
        live = f"/campaigns/{campaign}/"
        for name, path in {**PATHS, "live campaign": live}.items():
            page = _first_visit(browser, stack, session, path)
            paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
            figure(f"page: first paint, {name}", paint, "ms")
            if path == live:
                page.evaluate(WATCH)
                page.wait_for_timeout(WATCHED_MS)
                jumps = page.evaluate("window.jumps")
                figure("page: layout shift while it sends", jumps * 1000, "thousandths", seconds=WATCHED_MS / 1000)
        browser.close()


def _session(browser: Browser, stack: Stack) -> StorageState:
    page = browser.new_page(base_url=stack.url)
    page.goto("/accounts/login/")
    page.locator("[name=login]").fill(EMAIL)
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("[name=password]").press("Enter")
    page.wait_for_url("/")
    return page.context.storage_state()


def _first_visit(browser: Browser, stack: Stack, session: StorageState, path: str) -> Page:
    """Visit with an empty cache."""
    page = browser.new_context(base_url=stack.url, storage_state=session).new_page()
    page.goto(path, wait_until="networkidle")
    return page
