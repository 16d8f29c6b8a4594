"""Fixtures for tests of reports."""

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from tests.reports.emails.mailbox import Mailbox, running_mailbox


@pytest.fixture
def mailbox(settings: Settings) -> Iterator[Mailbox]:
    """A mail server on loopback, by default without faults."""
    with running_mailbox(settings) as running:
        yield running
