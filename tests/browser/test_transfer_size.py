"""The transfer size of a first visit: everything that a page needs, from this host only."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

MAX_BYTES = 150_000  # bytes


@pytest.mark.parametrize("path", ["/accounts/login/", "/", "/campaigns/new/"])
def test_a_first_visit_is_small_and_uses_no_other_host(
    path: str, browser: Browser, base_url: str, session: Path
) -> None:
    sizes: dict[str, int] = {}
    urls: dict[str, str] = {}
    with browser.new_context(base_url=base_url, storage_state=None if "login" in path else session) as context:
        page = context.new_page()
        network = context.new_cdp_session(page)
        network.send("Network.enable")
        network.on(
            "Network.requestWillBeSent", lambda event: urls.update({event["requestId"]: event["request"]["url"]})
        )
        network.on(
            "Network.loadingFinished", lambda event: sizes.update({event["requestId"]: event["encodedDataLength"]})
        )
        page.goto(path, wait_until="networkidle")
    assert {urlsplit(url).netloc for url in urls.values() if not url.startswith("data:")} == {urlsplit(base_url).netloc}
    largest_first = sorted(((sizes.get(request, 0), url) for request, url in urls.items()), reverse=True)
    assert 50_000 < sum(sizes.values()) < MAX_BYTES, largest_first
