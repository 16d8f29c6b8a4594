"""What is seen of each request: an id that goes with it, and one line in the log."""

import logging
import re
import time
import uuid
from collections.abc import Callable
from typing import Any, Final

import structlog
from django.http import HttpRequest, HttpResponse
from django.urls import ResolverMatch

log = structlog.get_logger("vestnik.http")

ID: Final = re.compile(r"[0-9]{1,18}")
REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
# What machines ask every few seconds, and what a page brings along: told only at level DEBUG while all is well.
ROUTINE: Final = ("/healthz", "/readyz", "/metrics", "/static/")
SECRET: Final = ("key", "phone", "token")
_KINDS: Final = {
    "campaign_id": "campaign",
    "contact_id": "contact",
    "contact_pk": "contact",
    "message_id": "message",
    "message_pk": "message",
}


class RequestMiddleware:
    """Give each request an id (`X-Request-ID`, taken or made), answer with it, and log one line.

    Whatever is logged meanwhile carries the id, those that the address names, and the user once it is known.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        started = time.perf_counter()
        structlog.contextvars.clear_contextvars()  # of the thread's last request
        structlog.contextvars.bind_contextvars(request_id=request_id)
        response = self.get_response(request)
        routine = response.status_code < 400 and request.path.startswith(ROUTINE)
        log.log(
            logging.DEBUG if routine else logging.INFO,
            "request",
            method=request.method,
            path=_path(request),
            status=response.status_code,
            ms=round((time.perf_counter() - started) * 1000, 1),
        )
        response["X-Request-ID"] = request_id
        return response

    def process_view(self, request: HttpRequest, _view: Any, _args: Any, _kwargs: Any) -> None:
        """Bind what the address is about."""
        if request.resolver_match:
            structlog.contextvars.bind_contextvars(**_ids(request.resolver_match))


def _ids(match: ResolverMatch) -> dict[str, int]:
    """The campaign, contact or message that an address names."""
    kinds = dict(_KINDS)
    if match.app_name == "campaigns":
        kinds["pk"] = "campaign"
    elif match.app_name == "directory" and match.url_name and match.url_name.startswith("contact"):
        kinds["pk"] = "contact"
    return {
        kinds[name]: int(value) for name, value in match.kwargs.items() if name in kinds and ID.fullmatch(str(value))
    }


def _path(request: HttpRequest) -> str:
    """The path as the log may have it."""
    path = request.path
    for name, value in request.resolver_match.kwargs.items() if request.resolver_match else ():
        if name in SECRET:
            path = path.replace(str(value), "***")
    return path
