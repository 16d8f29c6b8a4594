"""PostgreSQL servers for single tests."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.stack import free_port


class Server:
    """A PostgreSQL server that only one test uses, so that it can be stopped."""

    def __init__(self, binaries: Path, folder: Path, address: str) -> None:
        self.binaries, self.folder, self.address = binaries, folder, address
        self.port = free_port()
        self.url = f"postgres://postgres@{address}:{self.port}/postgres"
        # PostgreSQL refuses to run as root.
        self.user = "postgres" if os.geteuid() == 0 else None
        if self.user:
            shutil.chown(folder, self.user)
        self.run("initdb", "-U", "postgres", "--auth=trust", "--no-sync")
        with (folder / "data" / "pg_hba.conf").open("a") as trusted:
            trusted.write("host all all 10.77.0.0/16 trust\n")

    def run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs."""
        command = [str(self.binaries / program), *arguments, "-D", str(self.folder / "data")]
        subprocess.run(command, cwd="/", user=self.user, check=True, stdout=subprocess.DEVNULL, timeout=120)

    def start(self) -> None:
        """Start listening on its address."""
        options = f"-p {self.port} -h {self.address} -k '' -c fsync=off"
        self.run("pg_ctl", "start", "-w", "-o", options, "-l", str(self.folder / "log"))

    def stop(self) -> None:
        """Stop at once, as in a crash."""
        self.run("pg_ctl", "stop", "-w", "-m", "immediate")

    @contextmanager
    def unavailable(self) -> Iterator[None]:
        """Stop the server for the duration of the block."""
        self.stop()
        try:
            yield
        finally:
            self.start()


@contextmanager
def running_server(address: str = "127.0.0.1") -> Iterator[Server]:
    """Run a server with the newest programs on this machine; it trusts the tests' hosts (10.77.0.0/16)."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL's own programs are not here")
    with tempfile.TemporaryDirectory() as folder:
        server = Server(found[-1].parent, Path(folder), address)
        server.start()
        yield server
        server.stop()
