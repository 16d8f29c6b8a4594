"""`python -m tools.screens [FOLDER]`: every page of a running `make run`, on a desk and on a phone, light and dark.

It signs in as the demo's administrator and follows the links from page to page, once for each kind of address. The
pictures lie in FOLDER (build/screens) with an index.html that shows them side by side.
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
ENTRANCE: Final = ("/accounts/login/", "/accounts/signup/", "/accounts/password/reset/")
STARTS: Final = ("/", "/styleguide/", "/campaigns/?q=nothing-is-called-so", "/no-such-page/")
PASSED_OVER: Final = re.compile(r"/(admin|static|api)/|\.(csv|xlsx|json)$|/export/")


def main() -> None:
    """Take them all."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "build/screens")
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=tool.find(), args=["--no-sandbox"])
        pages = [take(open_page(browser), folder, path) for path in ENTRANCE] + inside(browser, folder)
    rows = "".join(
        f"<h2>{name}</h2>" + "".join(f'<img src="{name}-{screen}.png" height="480">' for screen, *_ in SCREENS)
        for name in pages
    )
    (folder / "index.html").write_text(f"<title>Screens</title>{rows}")
    print(f"{len(pages)} pages: {folder / 'index.html'}")


def open_page(browser: Browser) -> Page:
    """A page of a browser that nobody has used."""
    return browser.new_context(base_url=START, reduced_motion="reduce").new_page()


def inside(browser: Browser, folder: Path) -> list[str]:
    """All pages of somebody who has signed in."""
    page = open_page(browser)
    page.goto("/accounts/login/")
    page.locator("[name=login]").fill(EMAIL)
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("main [type=submit]").first.click()
    page.wait_for_url("/")
    waiting, taken = list(STARTS), dict[str, str]()
    while waiting:
        path = waiting.pop(0)
        kind = re.sub(r"\d+", "N", urlsplit(path).path) if path not in STARTS else path
        if kind not in taken and not PASSED_OVER.search(path):
            taken[kind] = take(page, folder, path)
            links = page.locator("a[href]:not([download])").evaluate_all("links => links.map(link => link.href)")
            waiting += [urlsplit(link).path for link in links if link.startswith(START)]
    return list(taken.values())


def take(page: Page, folder: Path, path: str) -> str:
    """One page on every screen; return the name that its pictures begin with."""
    page.goto(path)
    name = re.sub(r"\W+", "-", path).strip("-") or "home"
    for screen, width, theme in SCREENS:
        page.set_viewport_size({"width": width, "height": HEIGHT})
        page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        page.screenshot(path=folder / f"{name}-{screen}.png", full_page=True)
    return name


if __name__ == "__main__":
    main()
