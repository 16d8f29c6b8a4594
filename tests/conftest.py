"""What every test may use."""

import pytest
from django.test import Client

from accounts.models import ApiToken, User
from tests import factories


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
