"""The sandbox's answers: prepared ones, and ways to give none."""

import json
import socket
import struct
from http import HTTPStatus
from typing import Final

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

from campaigns.sandbox.ledger import ACCEPTED, CONFLICT, REPEAT


class Answer(web.StreamResponse):
    """A prepared answer, written in one call.

    That is twice as fast as building headers for each request. It works only for HTTP/1.1 with keep-alive; for other
    clients `suited` returns an ordinary response.
    """

    def __init__(self, status: int, body: bytes, content_type: str = "application/json", **headers: str) -> None:
        super().__init__(status=status)
        self.content = body
        self._fields = {"Content-Type": content_type} | {key.replace("_", "-"): value for key, value in headers.items()}
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in self._fields.items()]
        self._raw = "\r\n".join([*lines, "", ""]).encode() + body

    def suited(self, request: web.BaseRequest) -> web.StreamResponse:
        """This answer in a form that suits `request`."""
        if request.keep_alive and request.version == HttpVersion11:
            return self
        return web.Response(status=self.status, body=self.content, headers=self._fields)

    @property
    def keep_alive(self) -> bool:
        """The connection stays open."""
        return True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write the whole answer."""
        if request.transport is not None:
            request.transport.write(self._raw)
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: `prepare` has written everything."""


class Silence(web.StreamResponse):
    """No answer at all; the connection closes."""

    @property
    def keep_alive(self) -> bool:
        """The connection is closed."""
        return False

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write nothing."""
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Write nothing."""


def verdict(status: int, code: int, message: str, **headers: str) -> Answer:
    """An answer in the gateway's JSON."""
    return Answer(status, json.dumps({"code": code, "message": message}).encode(), **headers)


def reset(request: web.BaseRequest) -> Silence:
    """Abort the connection with a TCP reset, so that the client sees an error instead of an end."""
    if request.transport is not None:
        no_linger = struct.pack("ii", 1, 0)
        request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_linger)
        request.transport.abort()
    return Silence()


REDIRECTED: Final = "/v1/redirected"
OK: Final = verdict(200, 0, "OK")
CANNED: Final[dict[str, Answer]] = {
    ACCEPTED: OK,
    REPEAT: OK,
    CONFLICT: verdict(409, 409, "Another message has this id"),
    "error": verdict(500, 1, "Internal error"),
    "unauthorized": verdict(401, 2, "The token has expired"),
    "refuse": verdict(400, 3, "The number is not in service"),
    "no_money": verdict(402, 402, "The account has no money"),
    "html": Answer(200, b"<!doctype html><title>OK</title><h1>Everything is OK</h1>", "text/html; charset=utf-8"),
    "broken": Answer(200, b'{"code": 0, "message": "O'),
    "code": verdict(200, 17, "The queue is full"),
    "huge": verdict(200, 0, "OK" * 40_000),
    "redirect": verdict(302, 0, "OK", Location=REDIRECTED),
}
