"""The hints that django-q2 carries; each calls one service."""

from project import queue
from project.queue import lasting
from reports.delivery import reports_sweep, send_due
from reports.tallies import count_due, hint_count


@lasting
def send_reports() -> None:
    """Reports may be due."""
    send_due(lambda: bool(queue.stopping.value))


@lasting
def count_tallies() -> None:
    """Runs have changed since they were counted."""
    count_due(lambda: bool(queue.stopping.value))


@lasting
def sweep() -> None:
    """Twice a minute: see whose report has become due, rescue what dead workers left, have counted what has changed."""
    reports_sweep()
    hint_count()
