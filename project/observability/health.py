"""`/healthz` and `/readyz`: whether the process runs, and whether it can work."""

from collections.abc import Callable

from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse

from project.observability.prometheus import metrics
from project.queue.broker import worker_alive


def healthz(request: HttpRequest) -> JsonResponse:
    """The process answers."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    """200 if database, migrations and a worker are available; otherwise 503 with the missing parts.

    `?exclude=` ignores parts: pages are useful without a worker, and report that it is missing.
    """
    missing = [part for part in missing_parts() if part not in request.GET.getlist("exclude")]
    if missing:
        return JsonResponse({"status": "not ready", "missing": missing}, status=503)
    return JsonResponse({"status": "ready"})


def missing_parts() -> list[str]:
    """Return the missing ones of `database`, `migrations` and `worker`."""
    try:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return ["migrations"]
        return [] if worker_alive() else ["worker"]
    except Error:
        return ["database"]


PROBES: dict[str, Callable[[HttpRequest], HttpResponse]] = {
    "/healthz": healthz,
    "/readyz": readyz,
    "/metrics": metrics,
}


class ProbeMiddleware:
    """Answer probes before host checks, redirects and sessions.

    Load balancers, Kubernetes and Prometheus call each process by its address, which is not in ALLOWED_HOSTS.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return PROBES.get(request.path_info, self.get_response)(request)
