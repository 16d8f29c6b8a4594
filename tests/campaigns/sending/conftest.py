"""Fixtures for tests of sending."""

import pytest
from pytest_django import Settings


@pytest.fixture
def fast_retries(settings: Settings) -> None:
    """Retry at once, and often enough for any fault of a test."""
    settings.RETRY_BASE = 0.01
    settings.RETRY_CAP = 0.1
    settings.GATEWAY_TIMEOUT = 3
    settings.MAX_ATTEMPTS = 50
