"""A proxy to the database that takes time, as over a network: `python -m tools.bench.latency HOST PORT SECONDS`.

Prints its port, and at the end how often the clients sent something: a round trip each.
"""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit


@dataclass
class Distance:
    """The URL of the database through the proxy, and the number of round trips once it has ended."""

    url: str
    round_trips: int = 0


class Proxy:
    """Delays everything in both directions by half a round trip."""

    def __init__(self, host: str, port: int, round_trip: float) -> None:
        self.host, self.port, self.delay = host, port, round_trip / 2
        self.round_trips = 0

    async def serve(self) -> None:
        """Serve until SIGTERM."""
        stopped = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        await stopped.wait()
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
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    port = process.stdout.readline().strip()
    distance = Distance(urlunsplit(parts._replace(netloc=f"{parts.username or ''}@127.0.0.1:{port}")))
    try:
        yield distance
    finally:
        process.terminate()
        distance.round_trips = int(process.communicate()[0])


if __name__ == "__main__":
    asyncio.run(Proxy(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])).serve())
