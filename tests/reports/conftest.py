"""What the tests of reports share."""

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from tests.reports.mailbox import Mailbox, running_mailbox


@pytest.fixture
def mailbox(settings: Settings) -> Iterator[Mailbox]:
    """A mail server on loopback, without faults until a test sets some."""
    with running_mailbox(settings) as running:
        yield running
