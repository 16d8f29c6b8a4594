"""A proxy to the database that takes time, as over a network: `python -m tools.bench.latency HOST PORT SECONDS`."""

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
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


class Proxy:
    """Delays everything in both directions by half a round trip."""

    def __init__(self, host: str, port: int, round_trip: float) -> None:
        self.host, self.port, self.delay = host, port, round_trip / 2
        self.round_trips = 0

    async def serve(self) -> None:
        """Serve until the standard input ends; for each line on it, print the number of round trips."""
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(self.round_trips, flush=True)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(self.host, self.port)
        await asyncio.gather(self._copy(reader, to_server, counted=True), self._copy(from_server, writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool = False) -> None:
        later = asyncio.get_running_loop().call_later
        while data := await reader.read(1 << 20):
            self.round_trips += counted
            later(self.delay, writer.write, data)
        later(self.delay, writer.close)


@contextmanager
def at_distance(url: str, round_trip: float) -> Iterator[Distance]:
    """Run the proxy before the server of this database URL."""
    parts = urlsplit(url)
    command = [sys.executable, "-m", "tools.bench.latency", parts.hostname or "", str(parts.port), str(round_trip)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    port = process.stdout.readline().strip()
    try:
        yield Distance(urlunsplit(parts._replace(netloc=f"{parts.username or ''}@127.0.0.1:{port}")), process)
    finally:
        process.communicate()


if __name__ == "__main__":
    asyncio.run(Proxy(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])).serve())
