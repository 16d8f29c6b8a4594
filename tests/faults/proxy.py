"""A TCP proxy to the database that can stall: the connections stay open, but nothing arrives."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit


class Proxy:
    """Forwards connections to a server in a thread of its own."""

    def __init__(self, url: str) -> None:
        self._server, self._parts = urlsplit(url), urlsplit(url)
        self._loop = asyncio.new_event_loop()
        self._flowing = asyncio.Event()
        self._ready = threading.Event()
        self.port = 0

    @property
    def url(self) -> str:
        """The database's URL through the proxy."""
        return urlunsplit(self._parts._replace(netloc=f"{self._parts.username or ''}@127.0.0.1:{self.port}"))

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Forward nothing during the block."""
        self._loop.call_soon_threadsafe(self._flowing.clear)
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(self._flowing.set)

    def serve(self) -> None:
        """Serve until the loop is stopped."""
        self._loop.run_until_complete(self._listen())
        self._ready.set()
        self._loop.run_forever()

    async def _listen(self) -> None:
        self._flowing.set()
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = await asyncio.open_connection(self._server.hostname, self._server.port)
        await asyncio.gather(self._copy(reader, upstream[1]), self._copy(upstream[0], writer), return_exceptions=True)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()

    def wait_until_ready(self) -> None:
        """Wait until it listens."""
        assert self._ready.wait(10)

    def stop(self) -> None:
        """Stop serving."""
        self._loop.call_soon_threadsafe(self._loop.stop)


@contextmanager
def running_proxy(url: str) -> Iterator[Proxy]:
    """Run a proxy to the server of this database URL."""
    proxy = Proxy(url)
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    proxy.wait_until_ready()
    try:
        yield proxy
    finally:
        proxy.stop()
        thread.join(10)
