"""The request log: an id for each request, one line per request, and durations for Prometheus."""

import logging
import re
import time
import uuid
from collections.abc import Callable
from typing import Any, Final

import structlog
from django.core.signals import request_finished
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.urls import ResolverMatch

from project.observability.metrics import meters
from project.observability.metrics.meters import Histogram

log = structlog.get_logger("vestnik.http")

HTTP_SECONDS: Final = Histogram(
    "vestnik_http_request_seconds",
    "Duration of web requests by view, without probes and static files",
    ["view", "method", "status"],
    [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
)
METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})

ID: Final = re.compile(r"[0-9]{1,18}")
REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Frequent requests of machines, and the files of pages: logged only at DEBUG unless they fail.
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
    """Give each request an id (`X-Request-ID`, accepted or generated), return it, and log one line.

    All log lines of the request carry the id, the ids in the URL, and the user once it is known.
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
        seconds = time.perf_counter() - started
        if not request.path.startswith(ROUTINE):
            _measure(request, response, seconds)
        routine = response.status_code < 400 and request.path.startswith(ROUTINE)
        log.log(
            logging.DEBUG if routine else logging.INFO,
            "request",
            method=request.method,
            path=_path(request),
            status=response.status_code,
            ms=round(seconds * 1000, 1),
        )
        response["X-Request-ID"] = request_id
        return response

    def process_view(self, request: HttpRequest, _view: Any, _args: Any, _kwargs: Any) -> None:
        """Bind the ids in the URL."""
        if request.resolver_match:
            structlog.contextvars.bind_contextvars(**_ids(request.resolver_match))


@receiver(request_finished)
def _flush(**_signal: Any) -> None:
    """Flush after the response is sent, when nobody waits."""
    meters.flush_soon()


def _measure(request: HttpRequest, response: HttpResponse, seconds: float) -> None:
    """Record the duration. Unknown pages share one label, as do unknown methods."""
    view = request.resolver_match.view_name if request.resolver_match else "none"
    method = request.method if request.method in METHODS else "other"
    HTTP_SECONDS.observe(view, str(method), f"{response.status_code // 100}xx", seconds=[seconds])


def _ids(match: ResolverMatch) -> dict[str, int]:
    """Return the campaign, contact or message in the URL."""
    kinds = dict(_KINDS)
    if match.app_name == "campaigns":
        kinds["pk"] = "campaign"
    elif match.app_name == "directory" and match.url_name and match.url_name.startswith("contact"):
        kinds["pk"] = "contact"
    return {
        kinds[name]: int(value) for name, value in match.kwargs.items() if name in kinds and ID.fullmatch(str(value))
    }


def _path(request: HttpRequest) -> str:
    """Return the path without secrets."""
    path = request.path
    for name, value in request.resolver_match.kwargs.items() if request.resolver_match else ():
        if name in SECRET:
            path = path.replace(str(value), "***")
    return path
