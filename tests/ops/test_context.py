"""The image contains every package, and every tool that the Dockerfile calls."""

import re
import tomllib

from tests.stack import ROOT

PACKAGES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]


def test_the_image_contains_what_it_needs() -> None:
    included = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    definition = (ROOT / "Dockerfile").read_text()
    tools = {f"tools/{name}.py" for name in re.findall(r"-m tools\.(\w+)", definition)}
    assert tools
    assert {*PACKAGES, *tools} <= included
    (compiled,) = re.findall(r"compileall -q (.+)", definition)
    assert set(compiled.split()) == set(PACKAGES)


def test_bandit_checks_every_package() -> None:
    (searched,) = re.findall(r"bandit .*", (ROOT / "Makefile").read_text())
    assert set(PACKAGES) <= set(searched.split())
