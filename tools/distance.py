"""A proxy before a database that takes time, as a network does, and can stall.

    python -m tools.distance HOST PORT SECONDS

It is a process of its own, so that it is not delayed by who uses it.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit


class Distance:
    """The database at a distance."""

    def __init__(self, url: str, process: "subprocess.Popen[str]") -> None:
        self.url, self._process = url, process

    def round_trips(self) -> int:
        """How often clients have sent something so far."""
        return int(self._ask("count"))

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Forward nothing during the block; the connections stay open."""
        self._ask("stall")
        try:
            yield
        finally:
            self._ask("flow")

    def _ask(self, command: str) -> str:
        """Send a command, and wait until it is carried out."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()


class Proxy:
    """Delays everything in both directions by half a round trip."""

    def __init__(self, host: str, port: int, round_trip: float) -> None:
        self.host, self.port, self.delay = host, port, round_trip / 2
        self.round_trips = 0
        self.flowing = asyncio.Event()

    async def serve(self) -> None:
        """Serve until the standard input ends. Answer each command on it with the number of round trips."""
        self.flowing.set()
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        while command := await asyncio.to_thread(sys.stdin.readline):
            if command == "stall\n":
                self.flowing.clear()
            elif command == "flow\n":
                self.flowing.set()
            print(self.round_trips, flush=True)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(self.host, self.port)
        both = self._copy(reader, to_server, counted=True), self._copy(from_server, writer)
        await asyncio.gather(*both, return_exceptions=True)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool = False) -> None:
        later = asyncio.get_running_loop().call_later
        try:
            while data := await reader.read(1 << 20):
                self.round_trips += counted
                await self.flowing.wait()
                later(self.delay, writer.write, data)
        finally:
            later(self.delay, writer.close)


@contextmanager
def at_distance(url: str, round_trip: float = 0.0) -> Iterator[Distance]:
    """Run the proxy before the server of this database URL; a round trip takes that many seconds longer."""
    parts = urlsplit(url)
    command = [sys.executable, "-m", "tools.distance", parts.hostname or "", str(parts.port), str(round_trip)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    port = process.stdout.readline().strip()
    try:
        yield Distance(urlunsplit(parts._replace(netloc=f"{parts.username or ''}@127.0.0.1:{port}")), process)
    finally:
        process.communicate()


if __name__ == "__main__":
    asyncio.run(Proxy(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])).serve())
