"""`/healthz` and `/readyz`: is the process up, and can it do its work."""

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse

from project.queue import worker_alive


def healthz(request: HttpRequest) -> JsonResponse:
    """The process answers."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    """200 when database, migrations and a worker are there; else 503 with what is missing."""
    missing = missing_parts()
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
    except DatabaseError:
        return ["database"]
