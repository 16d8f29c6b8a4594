"""`python -m tools.sbom`: the bill of materials as CycloneDX 1.6 JSON, for vulnerability scanners.

Reads what is locked: the packages for this platform with their versions, licences and the hashes that pip has checked.
"""

import json
import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parent.parent
_PIN: Final = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)")
_HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")


class Pin(NamedTuple):
    """A locked package, with the SHA-256 of each file of this version in the index."""

    version: str
    hashes: list[str]


def pins(file: Path) -> dict[str, Pin]:
    """Return the packages in a file of locked requirements, by normalised name (PEP 503)."""
    blocks = re.split(r"\n(?=\S)", file.read_text())
    return {normal(found[1]): Pin(found[2], _HASH.findall(block)) for block in blocks if (found := _PIN.match(block))}


def normal(name: str) -> str:
    """Normalise a name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def component(name: str, pin: Pin) -> dict[str, Any] | None:
    """Return a package, or None if this platform does not need it."""
    try:
        about = metadata(name)
    except PackageNotFoundError:
        return None
    licences = about.get_all("License-Expression") or about.get_all("License") or ["unknown"]
    purl = f"pkg:pypi/{name}@{pin.version}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": pin.version,
        "purl": purl,
        "licenses": [{"license": {"name": licences[0].partition("\n")[0]}}],
        "properties": [{"name": "vestnik:sha256", "value": value} for value in pin.hashes],
    }


def bill() -> dict[str, Any]:
    """Return the bill of materials."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = (component(name, pin) for name, pin in sorted(pins(ROOT / "requirements.txt").items()))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": project["name"], "version": project["version"]}},
        "components": [each for each in found if each],
    }


if __name__ == "__main__":
    json.dump(bill(), sys.stdout, indent=1)
