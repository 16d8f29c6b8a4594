"""The one transport: many HTTP requests in flight at once through libcurl, in a plain synchronous loop.

libcurl brings what must not be home-made: total deadlines, TLS, keep-alive. Sockets are watched by epoll, for select()
ends at 1 024 of them.
"""

import selectors
import time
from collections.abc import Iterator
from io import BytesIO
from typing import Any, Final, Protocol

import pycurl

from campaigns.gateways.base import MAX_ANSWER_BYTES, Answer, Request, Trouble

_TROUBLES: Final = {
    pycurl.E_COULDNT_CONNECT: Trouble.UNREACHABLE,
    pycurl.E_COULDNT_RESOLVE_HOST: Trouble.UNRESOLVED,
    pycurl.E_SSL_CONNECT_ERROR: Trouble.TLS,
    pycurl.E_PEER_FAILED_VERIFICATION: Trouble.TLS,
    pycurl.E_SSL_CACERT_BADFILE: Trouble.TLS,
    pycurl.E_OPERATION_TIMEDOUT: Trouble.TIMEOUT,
    pycurl.E_WRITE_ERROR: Trouble.OVERSIZED,
}
_EVENTS: Final = {
    pycurl.POLL_IN: selectors.EVENT_READ,
    pycurl.POLL_OUT: selectors.EVENT_WRITE,
    pycurl.POLL_INOUT: selectors.EVENT_READ | selectors.EVENT_WRITE,
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

    def close(self) -> list[Any]:
        """Cut off what is still in flight and return its keys."""
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
        self._busy: dict[pycurl.Curl, Any] = {}
        self._wake_at: float | None = None
        self._selector = selectors.DefaultSelector()
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
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
        if self._wake_at is not None:
            wait = min(wait, max(0.0, self._wake_at - time.monotonic()))
        if self._selector.get_map():
            for item, mask in self._selector.select(wait):
                action = (pycurl.CSELECT_IN if mask & selectors.EVENT_READ else 0) | (
                    pycurl.CSELECT_OUT if mask & selectors.EVENT_WRITE else 0
                )
                self._multi.socket_action(item.fd, action)
        elif wait > 0:
            time.sleep(wait)
        if self._wake_at is not None and time.monotonic() >= self._wake_at:
            self._wake_at = None
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        return list(self._finished())

    def close(self) -> list[Any]:
        """See `Transport`."""
        keys = [key for key, _ in self._busy.values()]
        for handle in list(self._busy):
            self._multi.remove_handle(handle)
        self._busy.clear()
        self.in_flight = 0
        self._multi.close()
        self._selector.close()
        return keys

    def _finished(self) -> Iterator[tuple[Any, Answer]]:
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

    def _watch(self, what: int, fd: int, _multi: Any, _data: Any) -> None:
        """libcurl's word on which sockets to watch, and for what."""
        watched = fd in self._selector.get_map()
        if what == pycurl.POLL_REMOVE:
            if watched:
                self._selector.unregister(fd)
        elif watched:
            self._selector.modify(fd, _EVENTS[what])
        else:
            self._selector.register(fd, _EVENTS[what])

    def _set_timer(self, timeout_ms: int) -> None:
        """libcurl's word on when it wants to be called next."""
        self._wake_at = None if timeout_ms < 0 else time.monotonic() + timeout_ms / 1000


def _trouble(handle: pycurl.Curl, error: int) -> Trouble:
    """A time-out before the request could leave is certain: nothing was handed over."""
    trouble = _TROUBLES.get(error, Trouble.RESET)
    if trouble == Trouble.TIMEOUT and handle.getinfo(pycurl.PRETRANSFER_TIME) == 0:
        return Trouble.UNREACHABLE
    return trouble
