"""Descriptions of providers for tests."""

import re
from functools import cache
from typing import Any

from django.conf import settings

from campaigns.gateways.definitions.schema import Definition, load
from campaigns.gateways.drivers.http import Http
from campaigns.gateways.protocol import Connection

CALLBACK = "https://sms.example.org/api/v1/callbacks/p?key=k"


@cache
def example_text() -> str:
    """The first description in docs/providers.md."""
    page = (settings.BASE_DIR / "docs" / "providers.md").read_text()
    found = re.search(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def example_definition() -> Definition:
    return load(example_text())


def provider(definition: Definition | str, url: str = "https://api.example.com", **fields: str) -> Http:
    """A driver with this description."""
    known = load(definition) if isinstance(definition, str) else definition
    return Http.connect(Connection("p", url, callback=CALLBACK, definition=known, fields=fields))


def minimal(**tables: Any) -> str:
    """A description in TOML with these tables as text, e.g. `request=...`; the rest is as short as possible."""
    request = tables.get("request", '[request]\nurl = "{url}/send"\n[request.json]\nto = "{phone}"\ntext = "{text}"')
    rules = '[[answer.rules]]\nstatus = ["2xx"]\noutcome = "accepted"'
    answer = tables.get("answer", f'[answer]\nbody = "json"\n{rules}')
    head = tables.get("head", "")
    return "\n".join(
        [
            "version = 1",
            'label = "Test"',
            'url = "https://api.example.com"',
            head,
            request,
            answer,
            tables.get("rest", ""),
        ]
    )
