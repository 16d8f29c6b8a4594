"""What gunicorn serves in the tests of how it serves: an application that reads the whole body and tells its length."""

from collections.abc import Callable, Iterable
from typing import Any

from project import web

web.HEAD_SECONDS = web.STALL_SECONDS = 2  # type: ignore[misc]  # nobody waits for twenty in a test


def application(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    """See the module."""
    told = str(len(environ["wsgi.input"].read())).encode()
    start("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(told)))])
    return [told]
