"""The database is unavailable for a while: a stopped server, or a locked SQLite file."""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.faults.oracle import Scale, add_recipients, evidence, long
from tests.faults.servers import running_server
from tests.stack import Stack, finished, launch, running_stack, wait_for

RESUMES_WITHIN = 30


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Lock the SQLite file for the duration of the block."""
    connection = sqlite3.connect(urlsplit(url).path[1:], isolation_level=None, timeout=60)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.close()


class Breakable(NamedTuple):
    """A stack, and a way to make its database unavailable."""

    stack: Stack
    unavailable: Callable[[], AbstractContextManager[None]]


@pytest.fixture
def breakable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Breakable]:
    """A stack with its own server, or the shared stack with its SQLite file."""
    if os.environ.get("DATABASE_URL", "").startswith("postgres"):
        with running_server() as server, running_stack(tmp_path, server.url) as stack:
            yield Breakable(stack, server.unavailable)
    else:
        stack = request.getfixturevalue("stack")
        yield Breakable(stack, lambda: locked(stack.environment["DATABASE_URL"]))


def wait_for_more(stack: Stack, number: int, seconds: float) -> None:
    """Wait until the gateway has accepted this many more messages."""
    before = stack.sandbox.ledger.accepted
    wait_for(lambda: stack.sandbox.ledger.accepted >= before + number, f"{number} more", seconds)


@pytest.mark.parametrize(
    "scale",
    [
        Scale(200, rate=40, faults=(3,)),
        long(10_000, rate=30, faults=(5, 30, 120)),
    ],
    ids=["short", "long"],
)
def test_sending_continues_when_the_database_is_back(breakable: Breakable, scale: Scale) -> None:
    stack = breakable.stack
    api = stack.fresh_api()
    processes = set(stack.worker_pids())
    add_recipients(stack, "unavailable", scale.recipients)
    campaign = launch(api, "unavailable", rate_limit=scale.rate)
    for seconds in scale.faults:
        wait_for_more(stack, 20, 60)
        with breakable.unavailable():
            time.sleep(seconds)
        wait_for_more(stack, 1, RESUMES_WITHIN)
    wait_for(lambda: finished(api, campaign), "the campaign's end", 120 + 2 * scale.recipients / (scale.rate or 1))
    found = evidence(stack, campaign)
    found.assert_nothing_lost_or_doubled(scale.recipients)
    assert found.statuses == {"sent": scale.recipients}
    assert stack.worker
    assert stack.worker.pid in processes
    assert stack.worker.poll() is None
