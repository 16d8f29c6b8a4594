"""The hints that django-q2 carries; each calls one service."""

from project import queue
from project.queue import lasting
from reports.delivery import reports_sweep, send_due


@lasting
def send_reports() -> None:
    """Reports may be due."""
    send_due(lambda: bool(queue.stopping.value))


@lasting
def sweep() -> None:
    """Twice a minute: see whose report has become due, and rescue what dead workers left."""
    reports_sweep()
