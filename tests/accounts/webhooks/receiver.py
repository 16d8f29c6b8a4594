"""An integrator's server on loopback, which verifies requests with the `standardwebhooks` package."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook


class Receiver(ThreadingHTTPServer):
    """Stores requests. Answers with the statuses in `answers`, then 200, each after `delay` seconds."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[int] = []
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.delay = 0.0

    @property
    def url(self) -> str:
        """The server's URL."""
        return f"http://127.0.0.1:{self.server_address[1]}/hook?from=vestnik"

    @property
    def ids(self) -> list[str]:
        """The `webhook-id` of each request."""
        return [headers["webhook-id"] for headers, _ in self.requests]

    def events(self, secret: str) -> list[dict[str, Any]]:
        """All events received, verified; WebhookVerificationError if a signature is wrong."""
        found: list[dict[str, Any]] = []
        for headers, body in self.requests:
            found += Webhook(secret).verify(body, headers)["data"]
        return found


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
        time.sleep(self.server.delay)
        self.send_response(self.server.answers.pop(0) if self.server.answers else 200)
        self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.end_headers()
        self.wfile.write(json.dumps({"thanks": True}).encode())

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@contextmanager
def running_receiver() -> Iterator[Receiver]:
    """Run the server for the block."""
    receiver = Receiver()
    thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.shutdown()
        receiver.server_close()
