"""What the tests of campaigns share."""

from collections.abc import Iterator

import pytest

from campaigns.sandbox.server import Sandbox, running_sandbox


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """The sandbox gateway on loopback, without faults until a test sets some."""
    with running_sandbox(seed=1) as running:
        yield running
