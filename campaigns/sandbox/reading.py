"""Read a message out of a request, by the description that the request was built with: its templates, backwards."""

import json
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import xmltodict

from campaigns.gateways.definitions.paths import read
from campaigns.gateways.definitions.schema import MESSAGE_VARIABLES, RequestTable

_VARIABLE: Final = re.compile(r"\{\{|\}\}|\{([a-z][a-z0-9_]*)(?::int)?\}")


class RequestReader:
    """Finds the values of the variables in requests of one table of a description."""

    def __init__(self, table: RequestTable) -> None:
        self._table = table
        self._path = re.compile(".*" + _pattern(table.url.removeprefix("{url}").partition("?")[0]), re.DOTALL)

    def variables(self, method: str, url: str, body: bytes) -> dict[str, str] | None:
        """Return the variables of a request; None if it is not this one."""
        parts, table = urlsplit(url), self._table
        found = self._path.fullmatch(unquote(parts.path))
        if method != table.method or found is None:
            return None
        values = found.groupdict()
        values |= _of_pairs(table.query, _pairs(parts.query, table.charset))
        if table.form is not None:
            values |= _of_pairs(table.form, _pairs(body.decode("ascii", "replace"), table.charset))
        if table.body_json is not None:
            values |= dict(_of_structure(table.body_json, json.loads(body)))
        if table.xml is not None:
            values |= dict(_of_structure(xmltodict.parse(table.xml), read("xml", body, {})))
        return values


def shown_secrets(headers: Mapping[str, str], url: str, body: bytes) -> str:
    """Return everything in a request that may be a credential, with basic authentication decoded."""
    scheme, _space, basic = headers.get("Authorization", "").partition(" ")
    if scheme == "Basic":
        with suppress(ValueError):
            basic = b64decode(basic.encode()).decode(errors="replace")
    return "\n".join([*headers.values(), basic, unquote(url), unquote(body.decode(errors="replace"))])


def _pairs(text: str, charset: str) -> dict[str, str]:
    return dict(parse_qsl(text, keep_blank_values=True, encoding=charset))


def _of_pairs(templates: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, template in templates.items():
        if name in values:
            found |= _match(template, values[name])
    return found


def _of_structure(template: Any, value: Any) -> Iterator[tuple[str, str]]:
    """The variables in a structure whose texts are templates. Entries without a value were left out."""
    match template, value:
        case dict(), dict():
            for name, inner in template.items():
                yield from _of_structure(inner, value.get(name))
        case list(), list():
            for inner, item in zip(template, value, strict=False):
                yield from _of_structure(inner, item)
        case str(), str() | int():
            yield from _match(template, str(value)).items()


def _match(template: str, value: str) -> dict[str, str]:
    found = re.fullmatch(_pattern(template), value, re.DOTALL)
    return found.groupdict() if found else {}


def _pattern(template: str) -> str:
    """The regular expression of a template; what is no variable of the message may be any text."""
    pattern, end, named = "", 0, set[str]()
    for match in _VARIABLE.finditer(template):
        pattern += re.escape(template[end : match.start()])
        end, name = match.end(), match[1]
        if not name:
            pattern += re.escape(match[0][0])
        elif name in MESSAGE_VARIABLES | {"ids"} and name not in named:
            named.add(name)
            pattern += f"(?P<{name}>.*)"
        else:
            pattern += ".*"
    return pattern + re.escape(template[end:])
