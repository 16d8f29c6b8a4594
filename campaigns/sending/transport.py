"""The one transport: many HTTP requests in flight at once through libcurl, in a plain synchronous loop.

libcurl brings what must not be home-made: total deadlines, TLS, keep-alive.
"""

import time
from io import BytesIO
from typing import Any, Final, Protocol

import pycurl
import structlog

from campaigns.gateways.base import MAX_ANSWER_BYTES, Adapter, Answer, Request, Trouble

log = structlog.get_logger("vestnik.sending")

_TROUBLES: Final = {
    pycurl.E_COULDNT_CONNECT: Trouble.UNREACHABLE,
    pycurl.E_COULDNT_RESOLVE_HOST: Trouble.UNRESOLVED,
    pycurl.E_SSL_CONNECT_ERROR: Trouble.TLS,
    pycurl.E_PEER_FAILED_VERIFICATION: Trouble.TLS,
    pycurl.E_SSL_CACERT_BADFILE: Trouble.TLS,
    pycurl.E_OPERATION_TIMEDOUT: Trouble.TIMEOUT,
    pycurl.E_WRITE_ERROR: Trouble.OVERSIZED,
}


class Transport(Protocol):
    """Carries requests to the gateway, many at a time."""

    in_flight: int

    def submit(self, key: Any, request: Request, timeout: float) -> None:
        """Start a request that ends, one way or another, within `timeout` seconds."""
        ...

    def poll(self, wait: float) -> list[tuple[Any, Answer]]:
        """The requests that have ended, by the key of their `submit`; waits up to `wait` seconds for the first."""
        ...

    def close(self) -> None:
        """Cut off what is still in flight."""
        ...


class _Exchange:
    """A reusable handle with the request that it sends and the answer that it collects, cut off at the limit."""

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
        # A connection of its own: in a pool of a thousand libcurl would search for a free one each time.
        self.connection = pycurl.CurlShare()
        self.connection.setopt(pycurl.SH_SHARE, pycurl.LOCK_DATA_CONNECT)
        self.handle.setopt(pycurl.SHARE, self.connection)
        # A body that can't be rewound: libcurl would silently repeat a request when a reused connection dies.
        self.handle.setopt(pycurl.READFUNCTION, self.read)
        self.handle.setopt(pycurl.HEADERFUNCTION, self.head.append)
        self.handle.setopt(pycurl.WRITEFUNCTION, self.write)

    def prepare(self, key: Any, request: Request, timeout_ms: int) -> pycurl.Curl:
        """Load the next request, and return the handle that sends it. What stays the same is not set again."""
        self.key, self.request, self.chunks, self.size = key, BytesIO(request.body), [], 0
        self.head.clear()
        handle = self.handle
        handle.setopt(pycurl.URL, request.url.encode())
        if request.body and len(request.body) != self.length:
            self.length = len(request.body)
            handle.setopt(pycurl.POSTFIELDSIZE, self.length)
        if timeout_ms != self.timeout_ms:
            self.timeout_ms = timeout_ms
            handle.setopt(pycurl.TIMEOUT_MS, timeout_ms)
        return handle

    def close(self) -> None:
        """Free the handle, which knows this exchange as this does it: no collector must come to part them."""
        self.handle.close()
        self.connection.close()

    def read(self, size: int) -> bytes:
        """Hand libcurl the next bytes of the request."""
        return self.request.read(size)

    def write(self, chunk: bytes) -> int | None:
        """Keep a piece of the answer; a short count makes libcurl end the transfer."""
        self.size += len(chunk)
        if self.size > MAX_ANSWER_BYTES:
            return 0
        self.chunks.append(chunk)
        return None

    def answer(self, error: int | None) -> Answer:
        """What came back. Only an answer that is no success can ask to wait, and needs no body to be understood."""
        handle = self.handle
        status = handle.getinfo(pycurl.RESPONSE_CODE)
        return Answer(
            status=status,
            body=b"".join(self.chunks),
            retry_after=self.retry_after() if status >= 400 else None,
            trouble=None if error is None or status >= 300 else _trouble(handle, error),
            duration_ms=int(handle.getinfo(pycurl.TOTAL_TIME) * 1000),
        )

    def retry_after(self) -> float | None:
        """Seconds from now, None if it was not asked to wait; libcurl alone tells no zero, nor a date that is past."""
        asked = any(line[:12].lower() == b"retry-after:" for line in self.head)
        return float(self.handle.getinfo(pycurl.RETRY_AFTER)) if asked else None


class CurlTransport:
    """`Transport` over `CurlMulti`; handles and connections are reused for its whole life."""

    def __init__(self, headers: list[str], method: str = "POST") -> None:
        self.in_flight, self._method = 0, method
        # As bytes, for pycurl takes no text but ASCII: a token of other letters is the gateway's to refuse.
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
            queued, good, bad = self._multi.info_read()
            ended += [self._end(handle, None) for handle in good]
            ended += [self._end(handle, code) for handle, code, _ in bad]
        return ended

    def _end(self, handle: pycurl.Curl, error: int | None) -> tuple[Any, Answer]:
        exchange = self._busy.pop(handle)
        self._multi.remove_handle(handle)
        self.in_flight -= 1
        self._idle.append(exchange)
        return exchange.key, exchange.answer(error)


class ConsoleTransport:
    """`Transport` for the console gateway: writes a line, and answers at once."""

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


def transport_for(adapter: Adapter) -> Transport:
    """The transport that carries an adapter's requests."""
    if adapter.kind == "console":
        return ConsoleTransport()
    return CurlTransport(adapter.headers, adapter.method)


def _trouble(handle: pycurl.Curl, error: int) -> Trouble:
    """A time-out before the request could leave is certain: nothing was handed over."""
    trouble = _TROUBLES.get(error, Trouble.RESET)
    if trouble == Trouble.TIMEOUT and handle.getinfo(pycurl.PRETRANSFER_TIME) == 0:
        return Trouble.UNREACHABLE
    return trouble
