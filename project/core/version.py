"""The version of this program, read from its one source, `pyproject.toml`."""

import tomllib
from pathlib import Path
from typing import Final

_FILE: Final = Path(__file__).resolve().parents[2] / "pyproject.toml"
VERSION: Final[str] = tomllib.loads(_FILE.read_text())["project"]["version"]
