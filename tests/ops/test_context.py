"""What the image is made of: every package of the program, and every tool that its definition calls."""

import re
import tomllib

from tests.stack import ROOT

PACKAGES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]


def test_nothing_that_the_image_needs_stays_outside() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    definition = (ROOT / "Dockerfile").read_text()
    tools = {f"tools/{name}.py" for name in re.findall(r"-m tools\.(\w+)", definition)}
    assert tools
    assert {*PACKAGES, *tools} <= let_in
    (compiled,) = re.findall(r"compileall -q (.+)", definition)
    assert set(compiled.split()) == set(PACKAGES)


def test_every_package_is_searched_for_weaknesses() -> None:
    (searched,) = re.findall(r"bandit .*", (ROOT / "Makefile").read_text())
    assert set(PACKAGES) <= set(searched.split())
