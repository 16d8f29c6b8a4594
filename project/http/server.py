"""The web process: waitress serves HTTP inside a gunicorn worker.

gunicorn manages processes and listening sockets. waitress reads whole requests, including chunked ones, before a thread
handles them. This module joins the two and adds limits: a minimum rate for clients, and a maximum number of
connections per process.

Sources: gunicorn's "Custom workers" (a subclass of `workers.base.Worker`), waitress's design and arguments pages.
"""

import os
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from gunicorn.workers.base import Worker
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import BaseWSGIServer, create_server
from waitress.utilities import BadRequest, Error
from waitress.wasyncore import dispatcher, loop

from project.settings import DATA_UPLOAD_MAX_MEMORY_SIZE, UPLOAD_MAX_SIZE

MAX_CONNECTIONS: Final = 1000
"""Open connections per process. Above that, the client that waits longest is closed; if none waits, it gets 503."""
MAX_LARGE_BODIES: Final = 8
"""Bodies above `LARGE_BODY` that one process receives at the same time. Above that, the answer is 503."""
LARGE_BODY: Final = DATA_UPLOAD_MAX_MEMORY_SIZE
MAX_BODY: Final = UPLOAD_MAX_SIZE + 1024 * 1024
"""Bytes: the largest file plus its form. Above that, the answer is 413."""
GRACE_SECONDS: Final = 20
"""For the head of a request, for the next request, and before the minimum rate applies."""
MIN_RATE: Final = 16 * 1024
"""Average bytes per second at which a client must send a body and receive an answer, after the grace.

Whoever is faster may then pause for the grace, not for longer."""
SEND_BUFFER: Final = 128 * 1024
"""Bytes of an answer that the kernel holds at most (Linux doubles it): what it takes is not yet taken by the client."""
OVERLOADED_RESPONSE: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n"
)


class Overloaded(Error):  # type: ignore[misc]  # waitress is not typed
    """HTTP 503: this process can't receive more."""

    code = 503
    reason = "Service Unavailable"


class RequestParser(HTTPRequestParser):  # type: ignore[misc]
    """waitress's parser, which also records when its request began, and refuses numbers that `int` refuses."""

    def __init__(self, adj: Any) -> None:
        super().__init__(adj)
        self.began = time.monotonic()
        self.admitted = False
        """Whether its large body counts towards `MAX_LARGE_BODIES`."""

    def received(self, data: bytes) -> int:
        """Parse more of the request, and return how many bytes of `data` belong to it."""
        try:
            return int(super().received(data))
        except ValueError:
            self.error = BadRequest("A number in the head can't be read.")
            self.completed = True
            return len(data)

    @property
    def is_large(self) -> bool:
        """Whether the body is larger than those of forms and API."""
        return bool(max(self.content_length, self.body_bytes_received) > LARGE_BODY)


class Channel(HTTPChannel):  # type: ignore[misc]
    """One connection, within the limits of this module."""

    parser_class = RequestParser
    request: RequestParser | None

    def __init__(self, server: Any, *args: Any, **kwargs: Any) -> None:
        has_room = make_room(list(server.active_channels.values()))
        super().__init__(server, *args, **kwargs)
        self.idle_since = time.monotonic()
        self.answer_bytes = 0
        self.awaited: object = None
        """What the client kept us waiting for at the last look: to take an answer, a request, or the next one."""
        self.moved = 0
        """How many bytes of that had passed by then."""
        self.due = self.idle_since + GRACE_SECONDS
        """The moment (monotonic seconds) at which it is too slow."""
        if not has_room:
            self.outbufs[-1].append(OVERLOADED_RESPONSE)
            self.total_outbufs_len = len(OVERLOADED_RESPONSE)
            self.close_when_flushed = True

    def received(self, data: bytes) -> bool:
        """Process received data. Refuse a large body if `MAX_LARGE_BODIES` is reached."""
        complete = bool(super().received(data))
        request = self.request
        if request is not None and request.is_large and not request.admitted:
            others = [channel.request for channel in self.server.active_channels.values() if channel is not self]
            request.admitted = sum(bool(other and other.admitted) for other in others) < MAX_LARGE_BODIES
            if not request.admitted:
                self._refuse(request, Overloaded("Too many large uploads at once: try again later."))
        return complete

    def _refuse(self, request: RequestParser, error: Error) -> None:
        """Answer the current request with an error, and close the connection."""
        with self.requests_lock:
            request.error = error
            request.completed = True
            self.requests.append(request)
            self.request = None
            if len(self.requests) == 1:
                self.server.add_task(self)

    def send(self, data: bytes, do_close: bool = True) -> int:
        """Send to the client, and count the bytes that it accepts."""
        sent = int(super().send(data, do_close))
        self.answer_bytes += sent
        self.idle_since = time.monotonic()
        return sent

    @property
    def waiting_since(self) -> float:
        """The time (monotonic seconds) since which the connection only waits for the client."""
        return self.request.began if self.request is not None else self.idle_since

    def is_overdue(self, now: float) -> bool:
        """Whether the client is too slow. Called once a second."""
        awaited: object = self if self.total_outbufs_len else self.request
        if self.requests and awaited is not self:
            self.idle_since = now
            self.awaited = self.requests
            return False
        moved = self.answer_bytes if awaited is self else self.request.body_bytes_received if self.request else 0
        if awaited is not self.awaited or awaited is None:
            self.awaited = awaited
            self.due = (now if awaited is self else self.waiting_since) + GRACE_SECONDS
            self.moved = moved if awaited is self else 0
        self.due = min(self.due + (moved - self.moved) / MIN_RATE, now + GRACE_SECONDS)
        self.moved = moved
        return now > self.due


def make_room(channels: list[Channel]) -> bool:
    """Whether one more connection is possible. If necessary, closes the client that has been waiting longest."""
    if len(channels) < MAX_CONNECTIONS:
        return True
    waiting = [channel for channel in channels if not channel.requests and not channel.total_outbufs_len]
    if waiting:
        min(waiting, key=lambda channel: channel.waiting_since).handle_close()
    return bool(waiting)


class WaitressWorker(Worker):  # type: ignore[misc]  # gunicorn is not typed
    """A gunicorn worker whose HTTP server is waitress."""

    def run(self) -> None:
        """Serve until stopped or orphaned, then finish the open requests."""
        self.map: dict[int, Any] = {}
        self.next_check = 0.0
        for listener in self.sockets:  # connections inherit it
            listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        server = create_server(
            self._application,
            map=self.map,
            sockets=[listener.sock for listener in self.sockets],
            threads=self.cfg.threads,
            connection_limit=100 * MAX_CONNECTIONS,  # `make_room` enforces a lower limit while listening continues
            max_request_body_size=MAX_BODY,
            outbuf_high_watermark=1024 * 1024,
            clear_untrusted_proxy_headers=False,  # TRUSTED_PROXIES decides
            ident="",
        )
        listeners = [each for each in self.map.values() if isinstance(each, BaseWSGIServer)]
        for listener in listeners:
            listener.channel_class = Channel
        while self.alive and self.ppid == os.getppid():
            self._poll()
        for listener in listeners:
            dispatcher.close(listener)
        deadline = time.monotonic() + self.cfg.graceful_timeout
        while time.monotonic() < deadline and self._has_open_requests():
            self._poll()
        server.task_dispatcher.shutdown(timeout=0)

    def _poll(self) -> None:
        """Serve all connections for up to a second."""
        self.notify()
        loop(timeout=1, use_poll=True, map=self.map, count=1)
        now = time.monotonic()
        if now >= self.next_check:
            self.next_check = now + 1
            for channel in self._channels():
                if channel.is_overdue(now):
                    channel.handle_close()

    def _channels(self) -> list[Channel]:
        return [each for each in self.map.values() if isinstance(each, Channel)]

    def _has_open_requests(self) -> bool:
        """Whether a request is still being answered."""
        return any(channel.requests or channel.total_outbufs_len for channel in self._channels())

    def _application(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """The application. Ends the process after `max_requests`."""
        self.nr += 1
        if self.nr >= self.max_requests:
            self.alive = False
        answer: Iterable[bytes] = self.wsgi(environ, start_response)
        return answer
