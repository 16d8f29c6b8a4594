"""`manage.py forget_messages --older-than DAYS`: remove messages of runs that ended, or that came, that long ago."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from campaigns.privacy.retention import forget, forget_incoming
from project.core.clock import now


class Command(BaseCommand):
    """Removes messages in batches, during sending. It can be stopped at any time and continues when called again."""

    help = "Remove messages of runs that ended, and incoming ones that came, more than DAYS ago. Figures stay."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`--older-than` is required, so that nothing is removed by mistake."""
        parser.add_argument(
            "--older-than", type=int, required=True, metavar="DAYS", help="since the run's end, or since it came"
        )

    def handle(self, *args: Any, older_than: int, **options: Any) -> None:
        """Remove messages, and print how many."""
        if older_than < 1:
            raise CommandError("--older-than: at least one day.")
        before = now() - timedelta(days=older_than)
        self.stdout.write(f"{forget(before) + forget_incoming(before)} messages removed.")
