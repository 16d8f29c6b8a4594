"""`python -m tools.screens [FOLDER]`: screenshots of all pages of a running `make run`: desktop, phone, light, dark.

It signs in as the demo's administrator and follows the links from page to page, once for each kind of address. The
pictures are in FOLDER (build/screens) with an index.html that shows them side by side.
"""

import re
import sys
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, sync_playwright

from project.settings import PORT
from tools import browser as tool

EMAIL, PASSWORD = "admin@example.org", "vestnik-demo"  # of `make run`
START: Final = f"http://localhost:{PORT}"
HEIGHT: Final = 900
SCREENS: Final = [(f"{width}-{theme}", width, theme) for width in (1440, 390) for theme in ("light", "dark")]
PUBLIC_PATHS: Final = ("/accounts/login/", "/accounts/signup/", "/accounts/password/reset/")
START_PATHS: Final = ("/", "/styleguide/", "/campaigns/?q=nothing-is-called-so", "/no-such-page/")
SKIPPED: Final = re.compile(r"/(admin|static|api)/|\.(csv|xlsx|json)$|/export/")


def main() -> None:
    """Take all screenshots."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "build/screens")
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=tool.find(), args=["--no-sandbox"])
        pages = [take(open_page(browser), folder, path) for path in PUBLIC_PATHS] + inside(browser, folder)
    rows = "".join(
        f"<h2>{name}</h2>" + "".join(f'<img src="{name}-{screen}.png" height="480">' for screen, *_ in SCREENS)
        for name in pages
    )
    (folder / "index.html").write_text(f"<title>Screens</title>{rows}")
    print(f"{len(pages)} pages: {folder / 'index.html'}")


def open_page(browser: Browser) -> Page:
    """Open a page in a new browser context."""
    return browser.new_context(base_url=START, reduced_motion="reduce").new_page()


def inside(browser: Browser, folder: Path) -> list[str]:
    """Take screenshots of the pages behind sign-in."""
    page = open_page(browser)
    page.goto("/accounts/login/")
    page.locator("[name=login]").fill(EMAIL)
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("main [type=submit]").first.click()
    page.wait_for_url("/")
    waiting, taken = list(START_PATHS), dict[str, str]()
    while waiting:
        path = waiting.pop(0)
        kind = re.sub(r"\d+", "N", urlsplit(path).path) if path not in START_PATHS else path
        if kind not in taken and not SKIPPED.search(path):
            taken[kind] = take(page, folder, path)
            links = page.locator("a[href]:not([download])").evaluate_all("links => links.map(link => link.href)")
            waiting += [urlsplit(link).path for link in links if link.startswith(START)]
    return list(taken.values())


def take(page: Page, folder: Path, path: str) -> str:
    """Take a page's screenshots on every screen; return their name prefix."""
    page.goto(path)
    name = re.sub(r"\W+", "-", path).strip("-") or "home"
    for screen, width, theme in SCREENS:
        page.set_viewport_size({"width": width, "height": HEIGHT})
        page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        page.screenshot(path=folder / f"{name}-{screen}.png", full_page=True)
    return name


if __name__ == "__main__":
    main()
