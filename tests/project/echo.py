"""The application for the tests of gunicorn: it answers with the length of the body."""

from collections.abc import Callable, Iterable
from typing import Any

from project.http import server

server.GRACE_SECONDS = 2  # type: ignore[misc]  # tests don't wait for twenty
server.MAX_CONNECTIONS = 200  # type: ignore[misc]


def application(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    """See the module."""
    if environ["PATH_INFO"] == "/long":
        start("200 OK", [("Content-Type", "text/plain")])
        return (b"x" * 65536 for _ in range(1000))
    length = str(len(environ["wsgi.input"].read())).encode()
    start("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(length)))])
    return [length]
