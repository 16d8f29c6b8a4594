"""The transport: many concurrent HTTP requests through libcurl, in a synchronous loop.

libcurl provides total deadlines, TLS and keep-alive.
"""

import errno
import os
import socket
import time
from io import BytesIO
from typing import Any, Final, Protocol

import pycurl
import structlog

from campaigns.gateways.addresses import is_forbidden
from campaigns.gateways.protocol import MAX_ANSWER_BYTES, Answer, Driver, Request, TransportFailure

log = structlog.get_logger("vestnik.sending")

_FAILURES: Final = {
    pycurl.E_URL_MALFORMAT: TransportFailure.UNREACHABLE,
    pycurl.E_UNSUPPORTED_PROTOCOL: TransportFailure.UNREACHABLE,
    pycurl.E_COULDNT_CONNECT: TransportFailure.UNREACHABLE,
    pycurl.E_COULDNT_RESOLVE_HOST: TransportFailure.UNRESOLVED,
    pycurl.E_SSL_CONNECT_ERROR: TransportFailure.TLS,
    pycurl.E_PEER_FAILED_VERIFICATION: TransportFailure.TLS,
    pycurl.E_SSL_CACERT_BADFILE: TransportFailure.TLS,
    pycurl.E_OPERATION_TIMEDOUT: TransportFailure.TIMEOUT,
    pycurl.E_WRITE_ERROR: TransportFailure.OVERSIZED,
}

_NOTHING_SENT: Final = (pycurl.E_COULDNT_CONNECT, pycurl.E_COULDNT_RESOLVE_HOST)


class Transport(Protocol):
    """Sends requests to the gateway, many at a time."""

    in_flight: int

    def submit(self, key: Any, request: Request, timeout: float) -> None:
        """Start a request; it ends within `timeout` seconds, with or without an answer."""
        ...

    def poll(self, wait: float) -> list[tuple[Any, Answer]]:
        """Return the ended requests with the key of their `submit`; wait up to `wait` seconds for the first."""
        ...

    def close(self) -> None:
        """Abort the requests in flight."""
        ...


class _Exchange:
    """A reusable curl handle with its request and the answer read so far, which has a size limit."""

    __slots__ = ("chunks", "connection", "handle", "head", "key", "length", "request", "size", "timeout_ms")

    def __init__(self, headers: list[bytes], method: str) -> None:
        self.key: Any = None
        self.request = BytesIO()
        self.head: list[bytes] = []
        self.chunks: list[bytes] = []
        self.size = 0
        self.length = self.timeout_ms = -1
        self.handle = pycurl.Curl()
        if method == "GET":
            # libcurl would silently repeat a GET when a reused connection dies, so none is reused.
            self.handle.setopt(pycurl.HTTPGET, 1)
            self.handle.setopt(pycurl.FORBID_REUSE, 1)
        else:
            self.handle.setopt(pycurl.POST, 1)
        self.handle.setopt(pycurl.HTTPHEADER, headers)
        self.handle.setopt(pycurl.FOLLOWLOCATION, 0)
        self.handle.setopt(pycurl.NOSIGNAL, 1)
        self.handle.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        self.handle.setopt(pycurl.PROXY, "")
        self.handle.setopt(pycurl.OPENSOCKETFUNCTION, _open_socket)
        # Each handle has its own connection: in a pool of a thousand, libcurl would search for a free one each time.
        self.connection = pycurl.CurlShare()
        self.connection.setopt(pycurl.SH_SHARE, pycurl.LOCK_DATA_CONNECT)
        self.handle.setopt(pycurl.SHARE, self.connection)
        # The body can't be rewound, because libcurl would silently repeat a request when a reused connection dies.
        self.handle.setopt(pycurl.READFUNCTION, self.read)
        self.handle.setopt(pycurl.HEADERFUNCTION, self.head.append)
        self.handle.setopt(pycurl.WRITEFUNCTION, self.write)

    def prepare(self, key: Any, request: Request, timeout_ms: int) -> pycurl.Curl:
        """Load the next request, and return the handle that sends it. Options that do not change are not set again."""
        self.key, self.request, self.chunks, self.size = key, BytesIO(request.body), [], 0
        self.head.clear()
        handle = self.handle
        handle.setopt(pycurl.URL, request.url.encode())
        if len(request.body) != self.length:
            self.length = len(request.body)
            handle.setopt(pycurl.POSTFIELDSIZE, self.length)
        if timeout_ms != self.timeout_ms:
            self.timeout_ms = timeout_ms
            handle.setopt(pycurl.TIMEOUT_MS, timeout_ms)
        return handle

    def close(self) -> None:
        """Free the handle: it and this exchange refer to each other, so they would wait for the garbage collector."""
        self.handle.close()
        self.connection.close()

    def read(self, size: int) -> bytes:
        """Give libcurl the next bytes of the request."""
        return self.request.read(size)

    def write(self, chunk: bytes) -> int | None:
        """Store a chunk of the answer; returning a short count makes libcurl abort the transfer."""
        self.size += len(chunk)
        if self.size > MAX_ANSWER_BYTES:
            return 0
        self.chunks.append(chunk)
        return None

    def answer(self, error: int | None) -> Answer:
        """The gateway's answer. `Retry-After` is read from errors only; an error needs no complete body."""
        handle = self.handle
        status = handle.getinfo(pycurl.RESPONSE_CODE)
        return Answer(
            status=status,
            body=b"".join(self.chunks),
            retry_after=self.retry_after() if status >= 400 else None,
            failure=None if error is None or status >= 300 else _failure_of(handle, error),
            duration_ms=int(handle.getinfo(pycurl.TOTAL_TIME) * 1000),
        )

    def retry_after(self) -> float | None:
        """Seconds to wait; None if the header is missing. For libcurl alone that is the same as 0 or a past date."""
        has_header = any(line[:12].lower() == b"retry-after:" for line in self.head)
        return float(self.handle.getinfo(pycurl.RETRY_AFTER)) if has_header else None


class CurlTransport:
    """`Transport` over `CurlMulti`. Handles and connections are reused."""

    def __init__(self, headers: list[str], method: str = "POST") -> None:
        self.in_flight, self._method = 0, method
        # As bytes, because pycurl accepts only ASCII text: the gateway has to refuse a token with other characters.
        self._headers = [header.encode() for header in (*headers, "Expect:")]
        self._idle: list[_Exchange] = []
        self._busy: dict[pycurl.Curl, _Exchange] = {}
        self._multi = pycurl.CurlMulti()

    def submit(self, key: Any, request: Request, timeout: float) -> None:
        """See `Transport`."""
        exchange = self._idle.pop() if self._idle else _Exchange(self._headers, self._method)
        handle = exchange.prepare(key, request, max(1, int(timeout * 1000)))
        self._busy[handle] = exchange
        self.in_flight += 1
        self._multi.add_handle(handle)

    def poll(self, wait: float) -> list[tuple[Any, Answer]]:
        """See `Transport`."""
        self._multi.perform()
        ended = self._ended()
        if not ended and wait > 0:
            if self.in_flight:
                self._multi.select(wait)
            else:
                time.sleep(wait)
            self._multi.perform()
            ended = self._ended()
        return ended

    def close(self) -> None:
        """See `Transport`."""
        for handle in self._busy:
            self._multi.remove_handle(handle)
        for exchange in [*self._idle, *self._busy.values()]:
            exchange.close()
        self._idle.clear()
        self._busy.clear()
        self.in_flight = 0
        self._multi.close()

    def _ended(self) -> list[tuple[Any, Answer]]:
        ended, queued = [], 1
        while queued:
            queued, succeeded, failed = self._multi.info_read()
            ended += [self._end(handle, None) for handle in succeeded]
            ended += [self._end(handle, code) for handle, code, _ in failed]
        return ended

    def _end(self, handle: pycurl.Curl, error: int | None) -> tuple[Any, Answer]:
        exchange = self._busy.pop(handle)
        self._multi.remove_handle(handle)
        self.in_flight -= 1
        self._idle.append(exchange)
        return exchange.key, exchange.answer(error)


class ConsoleTransport:
    """`Transport` for the console gateway: logs the message and answers at once."""

    def __init__(self) -> None:
        self.in_flight = 0
        self._answers: list[tuple[Any, Answer]] = []

    def submit(self, key: Any, request: Request, timeout: float) -> None:
        """See `Transport`."""
        log.info("message", url=request.url, bytes=len(request.body))
        self.in_flight += 1
        self._answers.append((key, Answer(status=200, body=b'{"code": 0}')))

    def poll(self, wait: float) -> list[tuple[Any, Answer]]:
        """See `Transport`."""
        answers, self._answers, self.in_flight = self._answers, [], 0
        return answers

    def close(self) -> None:
        """See `Transport`."""


def transport_for(driver: Driver, request: Request | None = None) -> Transport:
    """The transport for a driver's messages, or for a request that may have another method and other headers."""
    if driver.offline:
        return ConsoleTransport()
    headers = request.headers if request and request.headers is not None else driver.headers
    return CurlTransport(list(headers), (request and request.method) or driver.method)


def _open_socket(_purpose: int, address: Any) -> "socket.socket | int":
    """Open the socket of a connection, unless its address is forbidden: libcurl then reports that it can't connect."""
    if is_forbidden(str(address.addr[0])):
        log.error("gateway has a link-local address, which GATEWAY_ALLOW_LINK_LOCAL forbids")
        return int(pycurl.SOCKET_BAD)
    return socket.socket(address.family, address.socktype, address.protocol)


def _failure_of(handle: pycurl.Curl, error: int) -> TransportFailure:
    """Return the failure that a libcurl error stands for. After a time-out before the connection, nothing was sent."""
    if error in _NOTHING_SENT and _out_of_files():
        return TransportFailure.NO_FILES
    failure = _FAILURES.get(error, TransportFailure.RESET)
    if failure == TransportFailure.TIMEOUT and handle.getinfo(pycurl.PRETRANSFER_TIME) == 0:
        return TransportFailure.UNREACHABLE
    return failure


def _out_of_files() -> bool:
    """Whether the limit of open files is reached. libcurl does not report it, so this tries to open one."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    return False
