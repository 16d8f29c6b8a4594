"""The one transport: many HTTP requests in flight at once through libcurl, in a plain synchronous loop.

libcurl brings what must not be home-made: total deadlines, TLS, keep-alive.
"""

import time
from collections.abc import Iterator
from io import BytesIO
from typing import Any, Final, Protocol

import pycurl
import structlog
from django.conf import settings

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


class _Body:
    """Collects an answer and cuts it off at the limit: a short write makes libcurl end the transfer."""

    __slots__ = ("chunks", "size")

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.size = 0

    def write(self, chunk: bytes) -> int:
        self.size += len(chunk)
        if self.size > MAX_ANSWER_BYTES:
            return 0
        self.chunks.append(chunk)
        return len(chunk)


class CurlTransport:
    """`Transport` over `CurlMulti`; handles and connections are reused for its whole life."""

    def __init__(self, headers: list[str], concurrency: int) -> None:
        self.in_flight = 0
        self._headers = [*headers, "Expect:"]
        self._idle: list[pycurl.Curl] = []
        self._busy: dict[pycurl.Curl, tuple[Any, _Body]] = {}
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, concurrency)

    def submit(self, key: Any, request: Request, timeout: float) -> None:
        """See `Transport`."""
        handle = self._idle.pop() if self._idle else self._new_handle()
        body = _Body()
        handle.setopt(pycurl.URL, request.url)
        handle.setopt(pycurl.POSTFIELDSIZE, len(request.body))
        # A body that can't be rewound: libcurl would silently repeat a request when a reused connection dies.
        handle.setopt(pycurl.READFUNCTION, BytesIO(request.body).read)
        handle.setopt(pycurl.TIMEOUT_MS, max(1, int(timeout * 1000)))
        handle.setopt(pycurl.WRITEFUNCTION, body.write)
        self._busy[handle] = (key, body)
        self.in_flight += 1
        self._multi.add_handle(handle)

    def poll(self, wait: float) -> list[tuple[Any, Answer]]:
        """See `Transport`."""
        self._multi.perform()
        ended = list(self._ended())
        if not ended and wait > 0:
            if self.in_flight:
                self._multi.select(wait)
            else:
                time.sleep(wait)
            self._multi.perform()
            ended = list(self._ended())
        return ended

    def close(self) -> None:
        """See `Transport`."""
        for handle in list(self._busy):
            self._multi.remove_handle(handle)
        self._busy.clear()
        self.in_flight = 0
        self._multi.close()

    def _ended(self) -> Iterator[tuple[Any, Answer]]:
        queued = 1
        while queued:
            queued, good, bad = self._multi.info_read()
            for handle in good:
                yield self._end(handle, None)
            for handle, code, _message in bad:
                yield self._end(handle, code)

    def _end(self, handle: pycurl.Curl, error: int | None) -> tuple[Any, Answer]:
        key, body = self._busy.pop(handle)
        self._multi.remove_handle(handle)
        self.in_flight -= 1
        self._idle.append(handle)
        return key, Answer(
            status=handle.getinfo(pycurl.RESPONSE_CODE),
            body=b"".join(body.chunks),
            retry_after=handle.getinfo(pycurl.RETRY_AFTER) or None,
            trouble=None if error is None else _trouble(handle, error),
            duration_ms=int(handle.getinfo(pycurl.TOTAL_TIME) * 1000),
        )

    def _new_handle(self) -> pycurl.Curl:
        handle = pycurl.Curl()
        handle.setopt(pycurl.POST, 1)
        handle.setopt(pycurl.HTTPHEADER, self._headers)
        handle.setopt(pycurl.FOLLOWLOCATION, 0)
        handle.setopt(pycurl.NOSIGNAL, 1)
        handle.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        handle.setopt(pycurl.PROXY, "")
        return handle


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
    """The transport that carries an adapter's requests, with as many in flight as the settings allow."""
    if adapter.name == "console":
        return ConsoleTransport()
    return CurlTransport(adapter.headers, settings.GATEWAY_CONCURRENCY)


def _trouble(handle: pycurl.Curl, error: int) -> Trouble:
    """A time-out before the request could leave is certain: nothing was handed over."""
    trouble = _TROUBLES.get(error, Trouble.RESET)
    if trouble == Trouble.TIMEOUT and handle.getinfo(pycurl.PRETRANSFER_TIME) == 0:
        return Trouble.UNREACHABLE
    return trouble
