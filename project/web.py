"""gunicorn's threads, kept from clients that are slow, whether they can't or won't be faster (slowloris).

gunicorn's own threads wait for a request's last byte, so whoever sends one byte a second holds one for ever. Here no
thread sees a request before its head has arrived, and its body, if it is not large. Large bodies, which are read while
they arrive, may hold half of the threads, and each only as long as something comes.
"""

import re
import socket
import struct
import time
from functools import partial
from typing import Any, Final

from gunicorn.workers.gthread import ThreadWorker

HEAD_SECONDS: Final = 20
"""From the first byte, or the connection, to the last byte of what is waited for."""
STALL_SECONDS: Final = 15
"""Without a byte of a large body, or one taken of an answer."""
MOST_HELD: Final = 256 * 1024
"""Bytes of a request that are held for a thread; what is longer, the thread reads as it arrives."""
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n", re.IGNORECASE)
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)


class PatientWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn is not typed
    """See the module. A connection's `heard` is what it has sent of a request that no thread has yet."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.large: set[Any] = set()
        """Connections whose body a thread reads."""
        self.waiting: list[Any] = []
        """Those that may not yet, the longest waiting first."""

    def enqueue_req(self, conn: Any) -> None:
        """Listen to a connection that is new, or that has sent something after an answer."""
        conn.heard = bytearray(conn.parser.unreader.take_buffered() if conn.initialized else b"")
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + HEAD_SECONDS
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, 1, partial(self.on_pending_socket_readable, conn))
        if conn.heard:
            self._weigh(conn)

    def on_pending_socket_readable(self, conn: Any, client: Any) -> None:
        """Take what has come."""
        try:
            data = client.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        conn.heard += data
        if data:
            self._weigh(conn)
        else:
            self._forget(conn)
            self.nr_conns -= 1
            conn.close()

    def _weigh(self, conn: Any) -> None:
        """Give the request to a thread as soon as it may have it."""
        length = expected(conn.heard)
        if length is None or len(conn.heard) < length <= MOST_HELD:
            return
        self._forget(conn)
        if length <= MOST_HELD:
            self._start(conn)
        elif len(self.large) < max(1, self.cfg.threads // 2):
            self.large.add(conn)
            self._start(conn)
        else:
            self.waiting.append(conn)

    def _forget(self, conn: Any) -> None:
        """Listen no more."""
        self.poller.unregister(conn.sock)
        self.pending_conns.remove(conn)

    def _start(self, conn: Any) -> None:
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            conn.sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", STALL_SECONDS, 0))
        conn.init()
        conn.parser.unreader.unread(bytes(conn.heard))
        conn.data_ready = True
        super().enqueue_req(conn)

    def finish_request(self, conn: Any, fs: Any) -> None:
        """The next large body may begin."""
        self.large.discard(conn)
        if self.waiting and len(self.large) < max(1, self.cfg.threads // 2):
            following = self.waiting.pop(0)
            self.large.add(following)
            self._start(following)
        super().finish_request(conn, fs)


def expected(heard: bytes | bytearray) -> int | None:
    """How long the request is that begins so, as far as its head tells; None before its head has come.

    A body whose length nobody tells is large. A head that does not end is taken for a whole request: gunicorn's
    parser refuses it.
    """
    end = heard.find(b"\r\n\r\n")
    if end < 0:
        return len(heard) if len(heard) > MOST_HELD else None
    head = bytes(heard[: end + 4])
    if _CHUNKED.search(head):
        return MOST_HELD + 1
    length = _LENGTH.search(head)
    return end + 4 + (int(length[1]) if length else 0)
