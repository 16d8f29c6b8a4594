"""The page on security names tests and files that exist."""

import re

from tests.stack import ROOT

FOLDERS = ("accounts", "campaigns", "directory", "project", "templates", "tests", "tools")


def test_everything_that_the_page_names_exists() -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    named = set(re.findall(r"`((?:[\w-]+/)*[\w-]+\.(?:py|html|txt)|(?:[\w-]+/)+)`", page))
    assert len(named) > 30
    found = {f"/{path.relative_to(ROOT)}" for folder in FOLDERS for path in (ROOT / folder).rglob("*.*")}
    missing = [name for name in named if not (ROOT / name).exists() and not any(p.endswith(f"/{name}") for p in found)]
    assert missing == []
