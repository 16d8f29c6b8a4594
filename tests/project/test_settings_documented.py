"""Every setting is documented."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
READ = re.findall(r'env\.\w+\(\s*"(\w+)"', (ROOT / "project" / "settings.py").read_text())


def test_the_names_are_found() -> None:
    assert {"SECRET_KEY", "DATABASE_URL", "LANGUAGE_CODE"} <= set(READ)


@pytest.mark.parametrize("name", READ)
def test_a_setting_stands_in_the_documents(name: str) -> None:
    assert f"| `{name}` |" in (ROOT / "docs" / "settings.md").read_text()


@pytest.mark.parametrize("name", READ)
def test_a_setting_stands_in_the_example(name: str) -> None:
    assert re.search(rf"^#? ?{name}=", (ROOT / ".env.example").read_text(), re.MULTILINE)


def test_the_documents_name_no_setting_that_is_not_read() -> None:
    named = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "settings.md").read_text(), re.MULTILINE)
    assert set(named) == {*READ, "ENV_FILE"}
