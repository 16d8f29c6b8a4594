"""A real browser against a live server."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tools import browser


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Drive the browser that `make test` has found; as root it runs only without its own sandbox."""
    return {**browser_type_launch_args, "executable_path": browser.find(), "chromium_sandbox": os.geteuid() != 0}


@pytest.fixture(scope="session", autouse=True)
def queries_beside_playwright() -> Iterator[None]:
    """Playwright keeps an event loop in this thread, which Django takes for asynchronous code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        yield
