"""A gateway that accepts after a delay, or at once where nginx is missing: `python -m tools.bench.slow SECONDS`.

It reads whole requests only, keeps connections, looks at nothing, and answers from one constant. A thousand times a
second it takes what has come and answers what is due, in a bare loop that costs a third of asyncio's.
"""

import select
import socket
import sys
import time
from collections import deque
from contextlib import suppress
from typing import Final

BODY: Final = b'{"code": 0, "message": "OK"}'
ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
_TICK_SECONDS: Final = 0.001
_LENGTH: Final = b"Content-Length: "


def requests_in(data: bytes) -> tuple[int, bytes]:
    """Return the number of complete requests in `data`, and the rest."""
    number = 0
    while (head := data.find(b"\r\n\r\n")) >= 0:
        mark = data.find(_LENGTH, 0, head) + len(_LENGTH)
        end = head + 4 + int(data[mark : data.index(b"\r\n", mark)])
        if len(data) < end:
            break
        number, data = number + 1, data[end:]
    return number, data


class Sink:
    """The server: connections by file number, incomplete requests, and answers in order."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.listener.setblocking(False)
        self.port = self.listener.getsockname()[1]
        self.epoll = select.epoll()
        self.epoll.register(self.listener, select.EPOLLIN)
        self.connections: dict[int, socket.socket] = {}
        self.begun: dict[int, bytes] = {}
        self.waiting: deque[tuple[float, socket.socket]] = deque()

    def serve(self) -> None:
        """Answer each request `delay` seconds after its arrival, until killed."""
        while True:
            for number, _ in self.epoll.poll(_TICK_SECONDS if self.waiting else None):
                if number == self.listener.fileno():
                    self._accept()
                else:
                    self._receive(number)
            moment = time.monotonic()
            while self.waiting and self.waiting[0][0] <= moment:
                self._answer(self.waiting.popleft()[1])
            if self.delay:
                time.sleep(_TICK_SECONDS)

    def _accept(self) -> None:
        """Accept all waiting connections, because a sender opens all at once."""
        with suppress(BlockingIOError):
            while True:
                connection, _ = self.listener.accept()
                connection.setblocking(False)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connections[connection.fileno()] = connection
                self.epoll.register(connection, select.EPOLLIN)

    def _receive(self, number: int) -> None:
        connection = self.connections[number]
        try:
            data = connection.recv(65_536)
        except ConnectionError:
            data = b""
        if not data:
            self.begun.pop(number, None)
            self.connections.pop(number).close()
            return
        whole, rest = requests_in(self.begun.pop(number, b"") + data)
        if rest:
            self.begun[number] = rest
        self.waiting.extend([(time.monotonic() + self.delay, connection)] * whole)

    def _answer(self, connection: socket.socket) -> None:
        try:
            connection.sendall(ANSWER)
        except OSError:  # closed by the client, as the next poll reports
            return


if __name__ == "__main__":
    sink = Sink(float(sys.argv[1]))
    print(sink.port, flush=True)
    try:
        sink.serve()
    except KeyboardInterrupt:
        sys.exit(0)
