"""The documentation: links work, the index of decisions is complete, the diagrams are correct."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from campaigns.states import CAMPAIGN_TRANSITIONS, MESSAGE_TRANSITIONS
from tests.stack import ROOT

DECISIONS = ROOT / "docs" / "decisions"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", ROOT / "CHANGELOG.md"]
PAGES += sorted((ROOT / "docs").rglob("*.md"))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as on Git hosts."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links(page: Path) -> Iterator[str]:
    """The relative links of a page."""
    yield from re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_index_of_decisions_is_complete() -> None:
    row = r"^\| (\d+) \| \[(.+)\]\((\d{4}-\S+\.md)\) \| (\d{4}-\d\d-\d\d) \| (.+) \|$"
    rows = re.findall(row, (DECISIONS / "README.md").read_text(), re.MULTILINE)
    assert [name for *_, name, _date, _status in rows] == sorted(page.name for page in DECISIONS.glob("0*.md"))
    for number, title, name, date, status in rows:
        page = (DECISIONS / name).read_text()
        assert page.startswith(f"# {number}. {title}\n\nDate: {date} · Status: {status}\n"), name
        assert all(f"\n## {part}\n" in page for part in ("Context", "Decision", "Consequences")), name


def test_the_diagrams_of_states_show_every_transition() -> None:
    drawn = set(re.findall(r"^    (\w+) --> (\w+)", (ROOT / "docs" / "architecture.md").read_text(), re.MULTILINE))
    for table in (CAMPAIGN_TRANSITIONS, MESSAGE_TRANSITIONS):
        for source, targets in table.items():
            assert {(source.value, target.value) for target in targets} <= drawn


def test_the_architecture_takes_ten_minutes() -> None:
    assert len((ROOT / "docs" / "architecture.md").read_text().split()) <= 1800
