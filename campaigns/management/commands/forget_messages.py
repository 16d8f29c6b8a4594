"""`manage.py forget_messages --older-than DAYS`: remove the messages of runs that ended so long ago."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.timezone import now

from campaigns.retention import forget


class Command(BaseCommand):
    """In batches, beside sending; it may be stopped at any time and goes on when it is called again."""

    help = "Remove the messages of runs that ended more than so many days ago. Figures stay."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`--older-than` is required: nothing is removed by mistake."""
        parser.add_argument("--older-than", type=int, required=True, metavar="DAYS", help="since the end of the run")

    def handle(self, *args: Any, older_than: int, **options: Any) -> None:
        """Remove, and say how many."""
        if older_than < 1:
            raise CommandError("--older-than: at least one day.")
        self.stdout.write(f"{forget(now() - timedelta(days=older_than))} messages removed.")
