"""What every test may use."""

from collections.abc import Iterator

import pytest
from django.core.cache import caches
from django.test import Client

from accounts import throttle
from accounts.models import ApiToken, User
from measures import meters
from project import clock
from tests import factories
from tests.stack import Api, Stack, running_stack


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browsers come last: Playwright leaves an event loop behind, in which Django refuses to ask the database."""
    items.sort(key=lambda item: "browser" in getattr(item, "fixturenames", ()))


@pytest.fixture(autouse=True)
def _clock_of_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's clock counts: it can be made to travel in time, and the database's can't."""
    monkeypatch.setattr(clock._clock, "_offset", 0.0)
    monkeypatch.setattr(clock._clock, "_trusted_until", float("inf"))
    monkeypatch.setattr(clock, "STEP_SECONDS", float("inf"))


@pytest.fixture(autouse=True)
def _nobody_has_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another test's requests don't count, though its token may have had the same id."""
    monkeypatch.setattr(throttle, "spend", throttle.Throttle().spend)
    caches["process"].clear()


@pytest.fixture(autouse=True)
def _nothing_is_measured_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of another test, and requests leave it to the test to add what they measured to the rows."""
    book = meters.Book()
    book.flush_at = float("inf")
    monkeypatch.setattr(meters, "_book", book)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole program in processes of its own, started when a test first asks for it and kept for the others."""
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture
def api(stack: Stack) -> Api:
    """Its API for the administrator, before a sandbox that behaves and remembers nothing."""
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


class ApiClient(Client):
    """Django's client that speaks JSON with a user's token."""

    def __init__(self, user: User | None = None) -> None:
        headers = {"Authorization": f"Bearer {ApiToken.issue(user)[1]}"} if user else {}
        super().__init__(headers=headers)

    def generic(self, method: str, path: str, *args: object, **kwargs: object) -> object:  # type: ignore[override]
        """Prefix the API's root."""
        return super().generic(method, f"/api/v1{path}", *args, **kwargs)  # type: ignore[arg-type]
