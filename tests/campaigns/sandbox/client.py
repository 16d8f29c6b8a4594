"""A simple client of the sandbox."""

import requests
from django.conf import settings

from campaigns.sandbox.server import Sandbox

AUTHORIZATION = {"Authorization": f"Bearer {settings.GATEWAY_TOKEN}"}


def root(sandbox: Sandbox) -> str:
    """The root of the sandbox's page and control calls."""
    return sandbox.url.removesuffix("/v1")


def send(
    sandbox: Sandbox, msg_id: object = 1, *, headers: dict[str, str] | None = None, **fields: object
) -> requests.Response:
    """Send one message, with `fields` changed."""
    return requests.post(
        f"{sandbox.url}/send/{msg_id}",
        json={"id": msg_id, "phone": 79991234567, "text": "Hello"} | fields,
        headers=AUTHORIZATION if headers is None else headers,
        timeout=5,
        allow_redirects=False,
    )
