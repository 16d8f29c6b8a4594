"""The presets: descriptions of known providers, one file each in `campaigns/gateways/presets/`."""

from functools import lru_cache
from pathlib import Path
from typing import Final

from campaigns.gateways.definitions.schema import Definition, load

_FOLDER: Final = Path(__file__).parent.parent / "presets"


@lru_cache
def preset_texts() -> dict[str, str]:
    """Return the descriptions in TOML, by name."""
    return {file.stem: file.read_text() for file in sorted(_FOLDER.glob("*.toml"))}


@lru_cache
def starting_point() -> str:
    """Return a short description with comments, from which one for another provider is written."""
    return (Path(__file__).parent / "starting_point.toml").read_text()


@lru_cache
def definition_from(text: str) -> Definition:
    """Return a description. Raises InvalidDefinition."""
    return load(text)


def presets() -> dict[str, Definition]:
    """Return all presets by name, in the order of their labels."""
    found = {name: definition_from(text) for name, text in preset_texts().items()}
    return dict(sorted(found.items(), key=lambda item: item[1].label.lower()))


def provider_label(name: str) -> str:
    """Return the label of a preset; its name if there is no such preset any more."""
    text = preset_texts().get(name)
    return definition_from(text).label if text else name
