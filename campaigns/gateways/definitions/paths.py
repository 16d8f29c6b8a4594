"""Read answers and callbacks, and find values in them by paths (docs/providers.md, "Paths")."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final, Literal
from urllib.parse import parse_qs
from xml.parsers.expat import ExpatError

import xmltodict

from campaigns.gateways.protocol import JSON

Body = Literal["json", "xml", "form", "query", "text"]

ALL: Final = None
"""The step `[*]`."""
QUERY: Final = "query:"
_PATH: Final = re.compile(r"(?:(?:^|\.)[^.\[\]\s]+|\[(?:\*|-?\d{1,4})\])*")
_STEP: Final = re.compile(r"\[(\*|-?\d+)\]|([^.\[\]]+)")
_WORDS: Final = re.compile(r"""[\s,;:|="']+""")


class Unreadable(ValueError):
    """A body that is not what its description says."""


class Path:
    """A path such as `messages[*].id`. ValueError if it can't be read."""

    __slots__ = ("in_query", "steps", "text")

    def __init__(self, text: str) -> None:
        self.text, self.in_query = text, text.startswith(QUERY)
        plain = text.removeprefix(QUERY)
        if not _PATH.fullmatch(plain):
            raise ValueError(f"“{text}” is not a path such as messages[0].id.")
        self.steps: list[str | int | None] = []
        for index, name in _STEP.findall(plain):
            self.steps.append(name or (ALL if index == "*" else int(index)))

    def find(self, data: Any) -> list[Any]:
        """Return all values at this path; an empty list if there are none."""
        found = [data]
        for step in self.steps:
            found = [value for parent in found for value in _values(parent, step)]
        return found


def _values(parent: Any, step: str | int | None) -> list[Any]:
    """The values one step below `parent`. A single value counts as a list of one: XML can't tell them apart."""
    if isinstance(step, str):
        return [parent[step]] if isinstance(parent, dict) and step in parent else []
    items = parent if isinstance(parent, list) else [parent]
    if step is ALL:
        return items
    return [items[step]] if -len(items) <= step < len(items) else []


def text_of(value: Any) -> str | None:
    """Return a single value as text: numbers as they are written; None for null, lists and objects."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value.strip()
        case int() | float():
            return json.dumps(value)
        case {"#text": str(text)}:
            return text.strip()
    return None


def texts_at(path: Path | None, data: Any) -> list[str]:
    """Return the single values at a path as texts, without empty ones."""
    return [text for value in (path.find(data) if path else []) if (text := text_of(value))]


def text_at(path: Path | None, data: Any) -> str:
    """Return the first value at a path as text; an empty string if there is none."""
    return next(iter(texts_at(path, data)), "")


def read(kind: Body, body: bytes, query: Mapping[str, str]) -> Any:
    """Return the structure of a body, or of the parameters of an address. Raises Unreadable."""
    try:
        match kind:
            case "json":
                return JSON.decode(body.decode("utf-8-sig"))
            case "xml":
                return xmltodict.parse(body)
            case "form":
                return _form(body.decode())
            case "query":
                return dict(query)
            case "text":
                return text_structure(body.decode().strip())
    except (ValueError, LookupError, RecursionError, ExpatError) as error:  # LookupError: encoding="…" of XML
        raise Unreadable(f"The body is not {kind}.") from error


def _form(text: str) -> dict[str, Any]:
    """The fields of a form; one that comes several times, or is named like PHP's lists (`data[]`), is a list."""
    fields = parse_qs(text, keep_blank_values=True, max_num_fields=20_000)
    names = {name: re.sub(r"\[\d*\]$", "", name) for name in fields}
    joined: dict[str, list[str]] = {}
    for name, plain in names.items():
        joined.setdefault(plain, []).extend(fields[name])
    lists = {plain for name, plain in names.items() if name != plain}
    return {name: values if name in lists or len(values) > 1 else values[0] for name, values in joined.items()}


def text_structure(text: str) -> dict[str, Any]:
    """Return the structure of a plain text: all of it, its lines, and its words."""
    words = [word for word in _WORDS.split(text) if word]
    return {"text": text, "lines": [line.strip() for line in text.splitlines()], "words": words}
