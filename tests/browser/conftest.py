"""Fixtures for tests with a real browser against the whole program."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page

from tests.stack import EMAIL, PASSWORD, Stack
from tools import browser as tool

# Swagger UI is third-party; the contents of frames are tested separately.
FIND_ACCESSIBILITY_PROBLEMS = """
async () => {
    const found = await axe.run({ exclude: ["#swagger-ui"] }, { iframes: false, resultTypes: ["violations"] });
    const places = (rule) => rule.nodes.map((node) => `${node.target} ${node.failureSummary}`).slice(0, 3);
    return found.violations.map((rule) => [rule.id, ...places(rule)].join("\\n"));
}
"""


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Use the browser that `make test` has found, with its sandbox where possible."""
    path = tool.find()
    sandboxed = path is not None and tool.can_sandbox(path)
    return {**browser_type_launch_args, "executable_path": path, "chromium_sandbox": sandboxed}


@pytest.fixture(scope="session")
def base_url(stack: Stack) -> str:
    """The base of relative addresses in the tests."""
    return stack.url


@pytest.fixture(scope="session")
def session(browser: Browser, base_url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cookies of a signed-in administrator."""
    context = browser.new_context(base_url=base_url)
    sign_in(context.new_page())
    cookies = tmp_path_factory.mktemp("session") / "cookies.json"
    context.storage_state(path=cookies)
    context.close()
    return cookies


def sign_in(page: Page) -> None:
    """Sign in as a user does, up to the home page."""
    page.goto("/")
    page.get_by_label(re.compile("e-?mail", re.IGNORECASE)).fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("/")


def pick(page: Page, tag: str) -> None:
    """Select a tag of an audience; if there are many, type its name first, without scripts in the field for others."""
    tags = page.get_by_role("group").filter(has=page.locator("[name=tags]"))
    search, box = tags.get_by_role("searchbox"), tags.get_by_role("checkbox", name=tag, exact=True)
    if search.count():
        search.fill(tag)
    others = tags.get_by_label("Others, separated by commas")
    if others.count() and not box.count():
        others.fill(tag)
    else:
        box.check()


def accessibility_problems(page: Page) -> list[str]:
    """The accessibility problems that axe-core finds on the page."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    found: list[str] = page.evaluate(FIND_ACCESSIBILITY_PROBLEMS)
    return found


def collect_problems(page: Page, base_url: str) -> list[str]:
    """A list that collects errors, refused requests and requests to other hosts from now on."""
    found: list[str] = []
    host = urlsplit(base_url).netloc
    # htmx's messages about failed requests duplicate "requestfailed", except for requests aborted by the next page.
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
