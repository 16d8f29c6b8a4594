"""`manage.py forget_messages --older-than DAYS`: remove the messages of runs that ended that long ago."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from campaigns.privacy.retention import forget
from project.core.clock import now


class Command(BaseCommand):
    """Removes messages in batches, during sending. It can be stopped at any time and continues when called again."""

    help = "Remove the messages of runs that ended more than DAYS ago. Figures stay."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`--older-than` is required, so that nothing is removed by mistake."""
        parser.add_argument("--older-than", type=int, required=True, metavar="DAYS", help="since the end of the run")

    def handle(self, *args: Any, older_than: int, **options: Any) -> None:
        """Remove messages, and print how many."""
        if older_than < 1:
            raise CommandError("--older-than: at least one day.")
        self.stdout.write(f"{forget(now() - timedelta(days=older_than))} messages removed.")
