"""`manage.py worker`: run background work, under a watchdog."""

from argparse import SUPPRESS, ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from project.queue import enqueue
from project.slots import shared_file
from project.watchdog import Watchdog, run_tree


class Command(BaseCommand):
    """A django-q2 cluster that is ended and started again when it shows no life. Any number may run, on any host."""

    help = "Send messages and do all other background work, until SIGTERM."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`--tree` is the watchdog's own way to start its child."""
        parser.add_argument("--tree", action="store_true", help=SUPPRESS)

    def handle(self, *args: Any, tree: bool, **options: Any) -> None:
        """Sweep at once, for who knows what has been left behind, and watch."""
        if tree:
            shared_file()
            run_tree()
            return
        for sweep in settings.SWEEPS:
            enqueue(sweep)
        Watchdog(*settings.SWEEPS).run()
