"""`/healthz` and `/readyz`: is the process up, and can it do its work."""

from collections.abc import Callable

from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse

from project.metrics import metrics
from project.queue import worker_alive


def healthz(request: HttpRequest) -> JsonResponse:
    """The process answers."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    """200 when database, migrations and a worker are there; else 503 with what is missing.

    What `?exclude=` names does not matter: pages are of use, and tell of it, while no worker lives.
    """
    missing = [part for part in missing_parts() if part not in request.GET.getlist("exclude")]
    if missing:
        return JsonResponse({"status": "not ready", "missing": missing}, status=503)
    return JsonResponse({"status": "ready"})


def missing_parts() -> list[str]:
    """Of `database`, `migrations` and `worker`, those that are not there."""
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
    """Answer what machines ask before hosts, redirects and sessions come into play.

    A load balancer, Kubernetes or Prometheus asks each process by its address, which is in nobody's ALLOWED_HOSTS.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return PROBES.get(request.path_info, self.get_response)(request)
