"""`manage.py count_tallies`: bring the reports' figures up to the messages, now."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from reports.tallies import count_run, distrust, stale


class Command(BaseCommand):
    """Count the runs whose counters have changed since; what the worker does by itself, without its patience."""

    help = "Count the messages of runs that have changed since they were counted for the reports."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`--all` distrusts what was counted."""
        parser.add_argument("--all", action="store_true", help="count every run whose messages are still there")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run by run; where messages were removed the figures stay as they are."""
        if options["all"]:
            distrust()
        results = [count_run(run) for run in stale().order_by("pk")]
        self.stdout.write(f"{sum(results)} runs counted; of {results.count(False)} messages are gone.")
