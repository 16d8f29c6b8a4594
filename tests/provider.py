"""A real provider of OpenID Connect on loopback, whose users are whom a test makes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from oidc_provider_mock import run_server_in_thread


class Provider:
    """Where it is, and who signs in there."""

    def __init__(self, port: int) -> None:
        self.url = f"http://localhost:{port}"

    @property
    def environment(self) -> dict[str, str]:
        """The settings that lead to it."""
        return {
            "OIDC_URL": self.url,
            "OIDC_CLIENT_ID": "vestnik",
            "OIDC_CLIENT_SECRET": "a secret of both",
            "OIDC_NAME": "Office",
        }

    def person(self, name: str, **claims: Any) -> None:
        """Somebody who can sign in there as `name`; the address is verified unless `claims` say otherwise."""
        told = {"email_verified": True, "given_name": "Zoe", "family_name": "Kim", **claims}
        requests.put(f"{self.url}/users/{name}", json=told, timeout=10).raise_for_status()


@contextmanager
def running_provider() -> Iterator[Provider]:
    """Started in a thread of the tests, on a free port."""
    with run_server_in_thread() as server:
        yield Provider(server.server_port)
