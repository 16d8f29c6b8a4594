"""Every dependency is locked by hash, and the bill of materials names all of them."""

import re
import tomllib

import pytest

from tests.stack import ROOT
from tools.sbom import bill, normal, pins

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME, ALL = pins(ROOT / "requirements.txt"), pins(ROOT / "requirements-dev.txt")


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_package_is_locked_by_version_and_hash(name: str) -> None:
    text = (ROOT / name).read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    locked = pins(ROOT / name)
    # A package may be listed twice, for two versions of Python.
    assert locked.keys() == {normal(line.split("==")[0]) for line in lines}
    assert len(lines) > 20
    assert all(pin.hashes for pin in locked.values())
    assert not re.search(r"git\+|https?://|file:|--index|--extra|--trusted|^-e", text, re.MULTILINE)


def test_requirements_are_locked_and_production_matches_tests() -> None:
    asked = {normal(re.split(r"[\[~=<>; ]", each)[0]) for each in PROJECT["project"]["dependencies"]}
    tools = {normal(re.split(r"[\[~=<>; ]", each)[0]) for each in PROJECT["dependency-groups"]["dev"]}
    assert asked <= RUNTIME.keys()
    assert asked | tools <= ALL.keys()
    assert {name: ALL[name].version for name in RUNTIME} == {name: pin.version for name, pin in RUNTIME.items()}
    assert tools.isdisjoint(RUNTIME)


def test_pip_verifies_hashes() -> None:
    assert "--require-hashes" in (ROOT / "Makefile").read_text()
    assert "--require-hashes" in (ROOT / "Dockerfile").read_text()


def test_sbom_names_every_production_package() -> None:
    document = bill()
    names = {component["name"]: component for component in document["components"]}
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert {"django", "django-allauth", "psycopg2-binary", "pycurl"} <= names.keys() <= RUNTIME.keys()
    assert names["django"]["purl"] == f"pkg:pypi/django@{RUNTIME['django'].version}"
    assert names["django"]["properties"][0]["value"] in RUNTIME["django"].hashes
    assert "BSD" in names["django"]["licenses"][0]["license"]["name"]
