"""A server that keeps what a provider posts to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from campaigns.gateways.protocol import Callback


class Received(NamedTuple):
    """A request as it came."""

    method: str
    query: str
    body: bytes
    headers: dict[str, str]

    @property
    def callback(self) -> Callback:
        """As drivers read it."""
        return Callback(dict(parse_qsl(self.query)), self.body, self.headers)

    @property
    def signed(self) -> dict[str, str]:
        """The headers of its own: signatures."""
        return {name: value for name, value in self.headers.items() if name.startswith("x-")}


@contextmanager
def callback_server() -> Iterator[tuple[str, list[Received]]]:
    """Serve on loopback; gives the address for callbacks, and the list of those received."""
    kept: list[Received] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            kept.append(Received(self.command, urlsplit(self.path).query, body, headers))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST  # noqa: N815 — the names of http.server

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/c?key=k", kept
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
