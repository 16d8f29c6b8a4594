"""The database is gone for a while: stopped, where it is a server, or locked by somebody else, where it is a file."""

import os
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.faults.oracle import Scale, add_recipients, evidence, long
from tests.stack import Stack, finished, free_port, launch, running_stack, wait_for

RESUMES_WITHIN = 30


class Server:
    """A PostgreSQL server of the test's own, for nobody else's may be stopped."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self.binaries, self.folder = binaries, folder
        self.port = free_port()
        self.url = f"postgres://postgres@127.0.0.1:{self.port}/postgres"
        # PostgreSQL refuses to run as root.
        self.user = "postgres" if os.geteuid() == 0 else None
        if self.user:
            shutil.chown(folder, self.user)
        self.run("initdb", "-U", "postgres", "--auth=trust", "--no-sync")

    def run(self, program: str, *arguments: str) -> None:
        """One of PostgreSQL's own programs, to its end."""
        command = [str(self.binaries / program), *arguments, "-D", str(self.folder / "data")]
        subprocess.run(command, cwd="/", user=self.user, check=True, stdout=subprocess.DEVNULL, timeout=120)

    def start(self) -> None:
        """Listen on loopback."""
        options = f"-p {self.port} -h 127.0.0.1 -k '' -c fsync=off"
        self.run("pg_ctl", "start", "-w", "-o", options, "-l", str(self.folder / "log"))

    def stop(self) -> None:
        """As after a crash: no goodbye to anyone."""
        self.run("pg_ctl", "stop", "-w", "-m", "immediate")

    @contextmanager
    def gone(self) -> Iterator[None]:
        """Stopped for the length of the block."""
        self.stop()
        try:
            yield
        finally:
            self.start()


@contextmanager
def running_server() -> Iterator[Server]:
    """A server from the newest programs on this machine."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL's own programs are not here")
    with tempfile.TemporaryDirectory() as folder:
        server = Server(found[-1].parent, Path(folder))
        server.start()
        yield server
        server.stop()


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Somebody else writes to the file for the length of the block."""
    connection = sqlite3.connect(urlsplit(url).path[1:], isolation_level=None, timeout=60)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.close()


class Breakable(NamedTuple):
    """A stack, and what takes its database away."""

    stack: Stack
    gone: Callable[[], AbstractContextManager[None]]


@pytest.fixture
def breakable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Breakable]:
    """A stack of its own on a server of its own, or the one of all tests on its file."""
    if os.environ.get("DATABASE_URL", "").startswith("postgres"):
        with running_server() as server, running_stack(tmp_path, server.url) as stack:
            yield Breakable(stack, server.gone)
    else:
        stack = request.getfixturevalue("stack")
        yield Breakable(stack, lambda: locked(stack.environment["DATABASE_URL"]))


def more_arrive(stack: Stack, number: int, seconds: float) -> None:
    """So many messages that the gateway had not taken before."""
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
def test_sending_goes_on_when_the_database_is_back(breakable: Breakable, scale: Scale) -> None:
    stack = breakable.stack
    api = stack.fresh_api()
    processes = set(stack.worker_pids())
    add_recipients(stack, "gone", scale.recipients)
    campaign = launch(api, "gone", rate_limit=scale.rate)
    for seconds in scale.faults:
        more_arrive(stack, 20, 60)
        with breakable.gone():
            time.sleep(seconds)
        more_arrive(stack, 1, RESUMES_WITHIN)
    wait_for(lambda: finished(api, campaign), "the campaign's end", 120 + 2 * scale.recipients / (scale.rate or 1))
    found = evidence(stack, campaign)
    found.assert_whole(scale.recipients)
    assert found.statuses == {"sent": scale.recipients}
    assert stack.worker
    assert stack.worker.pid in processes
    assert stack.worker.poll() is None
