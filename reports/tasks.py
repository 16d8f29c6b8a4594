"""The periodic task of this app, and the names of its tasks in queues."""

from project.queue.tasks import task
from reports.analytics.tallies import count_tallies, hint_count
from reports.emails.dispatcher import reports_sweep, send_reports

__all__ = ["count_tallies", "send_reports", "sweep"]


@task("reports.tasks.sweep", periodic=True)
def sweep() -> None:
    """Create and rescue due reports, and hint the counting of changed runs."""
    reports_sweep()
    hint_count()
