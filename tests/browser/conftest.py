"""A real browser against the whole program."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.stack import EMAIL, PASSWORD, Stack
from tools import browser as tool


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
