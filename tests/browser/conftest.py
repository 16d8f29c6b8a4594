"""A real browser against the whole program."""

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page

from tests.stack import EMAIL, PASSWORD, Stack
from tools import browser as tool

# Swagger UI is not ours to mend; what is in a frame is looked at by itself.
LOOK_FOR_BARRIERS = """
async () => {
    const found = await axe.run({ exclude: ["#swagger-ui"] }, { iframes: false, resultTypes: ["violations"] });
    const places = (rule) => rule.nodes.map((node) => `${node.target} ${node.failureSummary}`).slice(0, 3);
    return found.violations.map((rule) => [rule.id, ...places(rule)].join("\\n"));
}
"""


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Drive the browser that `make test` has found; as root it runs only without its own sandbox."""
    return {**browser_type_launch_args, "executable_path": tool.find(), "chromium_sandbox": os.geteuid() != 0}


@pytest.fixture(scope="session")
def base_url(stack: Stack) -> str:
    """What addresses in the tests are relative to."""
    return stack.url


@pytest.fixture(scope="session")
def session(browser: Browser, base_url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cookies of an administrator who has signed in."""
    context = browser.new_context(base_url=base_url)
    sign_in(context.new_page())
    cookies = tmp_path_factory.mktemp("session") / "cookies.json"
    context.storage_state(path=cookies)
    context.close()
    return cookies


def sign_in(page: Page) -> None:
    """As a person does, up to the start page."""
    page.goto("/")
    page.get_by_label(re.compile("e-?mail", re.IGNORECASE)).fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("/")


def barriers(page: Page) -> list[str]:
    """What axe-core finds on the page as it stands: whatever keeps somebody from using it."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    found: list[str] = page.evaluate(LOOK_FOR_BARRIERS)
    return found


def complaints_of(page: Page, base_url: str) -> list[str]:
    """What happens from now on and must not: errors, refusals, requests to other hosts. Whoever asks sees it empty."""
    found: list[str] = []
    host = urlsplit(base_url).netloc
    # What htmx says of requests that failed is told by "requestfailed", but for those that the next page broke off.
    known = ("htmx:afterRequest", "htmx:sendError", "htmx:sendAbort")
    page.on(
        "console",
        lambda said: (
            found.append(said.text) if said.type in ("error", "warning") and not said.text.startswith(known) else None
        ),
    )
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("response", lambda answer: found.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None)
    broken_off = "net::ERR_ABORTED"  # by the next page, or the next request of its kind
    page.on(
        "requestfailed",
        lambda request: found.append(f"{request.failure} {request.url}") if request.failure != broken_off else None,
    )
    page.on(
        "request",
        lambda request: found.append(request.url) if urlsplit(request.url).netloc not in (host, "") else None,
    )
    return found
