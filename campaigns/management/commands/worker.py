"""`manage.py worker`: run background work, under a watchdog."""

from argparse import SUPPRESS, ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from project.queue.slots import shared_file
from project.queue.tasks import periodic_tasks
from project.queue.watchdog import Watchdog, run_tree
from project.startup import announce, refuse_transaction_pooling, require_files_for_requests


class Command(BaseCommand):
    """A django-q2 cluster that is restarted when it hangs. Any number may run, on any host."""

    help = "Send messages and do all other background work, until SIGTERM."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The watchdog starts its child with `--tree`."""
        parser.add_argument("--tree", action="store_true", help=SUPPRESS)

    def handle(self, *args: Any, tree: bool, **options: Any) -> None:
        """Check the environment, then run the cluster under the watchdog."""
        if tree:
            shared_file()
            run_tree()
            return
        announce("worker")
        require_files_for_requests(settings.GATEWAY_CONCURRENCY)
        refuse_transaction_pooling()
        Watchdog(*periodic_tasks()).run()
