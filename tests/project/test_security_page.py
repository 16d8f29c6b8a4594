"""The page on security names tests and files that there are."""

import re

from tests.stack import ROOT

PLACES = ("", "project", "tests/project", "tests/campaigns", "accounts/webhooks")


def test_what_the_page_names_is_there() -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    named = set(re.findall(r"`((?:[\w-]+/)*[\w-]+\.(?:py|html|txt)|(?:[\w-]+/)+)`", page))
    assert len(named) > 30
    assert [name for name in named if not any((ROOT / place / name).exists() for place in PLACES)] == []
