"""An OpenID Connect provider on loopback with users created by the tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from oidc_provider_mock import run_server_in_thread


class Provider:
    """The provider: its address and users."""

    def __init__(self, port: int) -> None:
        self.url = f"http://localhost:{port}"

    @property
    def environment(self) -> dict[str, str]:
        """The settings for this provider."""
        return {
            "OIDC_URL": self.url,
            "OIDC_CLIENT_ID": "vestnik",
            "OIDC_CLIENT_SECRET": "a secret of both",
            "OIDC_NAME": "Office",
        }

    def person(self, name: str, /, **claims: Any) -> None:
        """Create a user who can sign in as `name`, by default with a verified address."""
        all_claims = {"email_verified": True, "given_name": "Zoe", "family_name": "Kim", **claims}
        requests.put(f"{self.url}/users/{name}", json=all_claims, timeout=10).raise_for_status()


@contextmanager
def running_provider() -> Iterator[Provider]:
    """Run the provider in a thread, on a free port."""
    with run_server_in_thread() as server:
        yield Provider(server.server_port)
