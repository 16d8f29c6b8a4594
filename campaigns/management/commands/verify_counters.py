"""`manage.py verify_counters`: do the figures agree with the messages?"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.db.models import Count

from campaigns.models import Message, Run
from campaigns.states import MessageStatus


class Command(BaseCommand):
    """Count the messages of every run by status, and hold them against the run's counters.

    Of runs whose messages were removed only the counters know.
    """

    help = "Compare the counters of runs with their messages; exit 1 where they differ."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`--repair` writes what was counted."""
        parser.add_argument("--repair", action="store_true", help="write the counted figures into the counters")

    def handle(self, *args: Any, repair: bool, **options: Any) -> None:
        """Run by run, each locked while it is counted, so that running campaigns can be verified too."""
        wrong = 0
        for run_id in Run.objects.filter(forgotten_at=None).order_by("pk").values_list("pk", flat=True).iterator():
            with transaction.atomic():
                run = Run.objects.select_for_update().get(pk=run_id)
                rows = Message.objects.filter(run=run).order_by().values_list("status").annotate(number=Count("pk"))
                counted = {**dict.fromkeys(MessageStatus.values, 0), **dict(rows)}
                differing = {name: number for name, number in counted.items() if getattr(run, name) != number}
                if differing and repair:
                    Run.objects.filter(pk=run_id).update(**differing)
            if differing:
                wrong += 1
                told = ", ".join(f"{name} {getattr(run, name)} ≠ {number}" for name, number in differing.items())
                self.stdout.write(f"run {run_id} of campaign {run.campaign_id}: {told}")
        if wrong and not repair:
            raise CommandError(f"{wrong} runs differ; --repair writes what was counted.")
        self.stdout.write(f"{wrong} runs repaired." if wrong else "All counters agree with the messages.")
