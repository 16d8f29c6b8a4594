"""`manage.py worker`: run background work, under a watchdog."""

from argparse import SUPPRESS, ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django_q.models import Schedule

from project.queue import enqueue
from project.watchdog import Watchdog, run_tree

SWEEP = "campaigns.tasks.sweep"


class Command(BaseCommand):
    """A django-q2 cluster that is ended and started again when it shows no life. Any number may run, on any host."""

    help = "Send messages and do all other background work, until SIGTERM."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`--tree` is the watchdog's own way to start its child."""
        parser.add_argument("--tree", action="store_true", help=SUPPRESS)

    def handle(self, *args: Any, tree: bool, **options: Any) -> None:
        """Make sure that the sweeper is scheduled, sweep once, and watch."""
        if tree:
            run_tree()
            return
        Schedule.objects.update_or_create(
            name="sweep", defaults={"func": SWEEP, "schedule_type": Schedule.MINUTES, "minutes": 1, "repeats": -1}
        )
        enqueue(SWEEP)
        Watchdog().run()
