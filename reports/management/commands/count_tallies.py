"""`manage.py count_tallies`: update the reports' figures now."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from reports.analytics.tallies import count_run, invalidate_all, stale


class Command(BaseCommand):
    """Counts the runs whose counters have changed, as workers do, but without pauses."""

    help = "Count the messages of runs that have changed since they were counted for the reports."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`--all` counts every run again."""
        parser.add_argument("--all", action="store_true", help="count every run whose messages are still there")

    def handle(self, *args: Any, **options: Any) -> None:
        """Count run by run; figures stay where messages were removed."""
        if options["all"]:
            invalidate_all()
        results = [count_run(run) for run in stale().order_by("pk")]
        self.stdout.write(f"{sum(results)} runs counted; of {results.count(False)} messages are gone.")
