"""Fixtures for all tests."""

from collections.abc import Iterator

import pytest
from django.core.cache import caches
from django.test import Client

from accounts.api_access import throttle
from accounts.models import ApiToken, User
from campaigns.sandbox.server import Sandbox, running_sandbox
from project.core import clock
from project.observability.metrics import meters
from tests import factories
from tests.stack import Api, Stack, running_stack


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run browser tests last: Playwright leaves an event loop, in which Django refuses database queries."""
    items.sort(key=lambda item: "browser" in getattr(item, "fixturenames", ()))


@pytest.fixture(autouse=True)
def _use_host_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the host's clock: tests can move it, but not that of the database."""
    monkeypatch.setattr(clock._clock, "_offset", 0.0)
    monkeypatch.setattr(clock._clock, "_trusted_until", float("inf"))
    monkeypatch.setattr(clock, "STEP_SECONDS", float("inf"))


@pytest.fixture(autouse=True)
def _reset_throttle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reset the throttle: another test's token may have had the same id."""
    monkeypatch.setattr(throttle, "spend", throttle.Throttle().spend)
    caches["process"].clear()


@pytest.fixture(autouse=True)
def _reset_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reset the metrics; they are written only when a test flushes them."""
    buffer = meters.Buffer()
    buffer.flush_at = float("inf")
    monkeypatch.setattr(meters, "_buffer", buffer)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole program in its own processes, started on first use and shared by all tests."""
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture
def api(stack: Stack) -> Api:
    """The stack's API for the administrator, with an empty sandbox without faults."""
    return stack.fresh_api()


@pytest.fixture
def alice(db: None) -> User:
    """A marketer."""
    return factories.user("alice@example.org", first_name="Alice")


@pytest.fixture
def bob(db: None) -> User:
    """Another marketer."""
    return factories.user("bob@example.org", first_name="Bob")


@pytest.fixture
def admin(db: None) -> User:
    """An administrator."""
    return factories.user("admin@example.org", is_staff=True)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """The sandbox gateway on loopback, without faults until a test sets some."""
    with running_sandbox(seed=1) as running:
        yield running


class ApiClient(Client):
    """Django's test client for the JSON API with a user's token."""

    def __init__(self, user: User | None = None) -> None:
        headers = {"Authorization": f"Bearer {ApiToken.issue(user)[1]}"} if user else {}
        super().__init__(headers=headers)

    def generic(self, method: str, path: str, *args: object, **kwargs: object) -> object:  # type: ignore[override]
        """Send a request to a path below the API's root."""
        return super().generic(method, f"/api/v1{path}", *args, **kwargs)  # type: ignore[arg-type]
