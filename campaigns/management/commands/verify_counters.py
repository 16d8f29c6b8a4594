"""`manage.py verify_counters`: compare counters with messages."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.db.models import Count, Q, Sum

from campaigns.models import Message, Run
from campaigns.states import CHARGED, MessageStatus


def _costs(run: Run) -> dict[str, int]:
    """What the run's messages have cost, and what is reserved for those being sent."""
    charged, reserved = Q(status__in=CHARGED), Q(status=MessageStatus.SENDING)
    sums = run.messages.aggregate(charged=Sum("cost", filter=charged), reserved=Sum("cost", filter=reserved))
    return {"cost": int(sums["charged"] or 0), "reserved_cost": int(sums["reserved"] or 0)}


class Command(BaseCommand):
    """Counts the messages of every run by status, adds up their prices, and compares both with the run's counters.

    Runs whose messages were removed are skipped.
    """

    help = "Compare the counters of runs with their messages; exit 1 where they differ."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`--repair` corrects the counters."""
        parser.add_argument("--repair", action="store_true", help="write the counted figures into the counters")

    def handle(self, *args: Any, repair: bool, **options: Any) -> None:
        """Verify run by run. Each run is locked meanwhile, so that running campaigns can be verified, too."""
        wrong = 0
        for run_id in Run.objects.filter(forgotten_at=None).order_by("pk").values_list("pk", flat=True).iterator():
            with transaction.atomic():
                run = Run.objects.select_for_update().get(pk=run_id)
                rows = Message.objects.filter(run=run).order_by().values_list("status").annotate(number=Count("pk"))
                counted = {**dict.fromkeys(MessageStatus.values, 0), **dict(rows), **_costs(run)}
                differing = {name: number for name, number in counted.items() if getattr(run, name) != number}
                if differing and repair:
                    Run.objects.filter(pk=run_id).update(**differing)
            if differing:
                wrong += 1
                differences = ", ".join(f"{name} {getattr(run, name)} ≠ {number}" for name, number in differing.items())
                self.stdout.write(f"run {run_id} of campaign {run.campaign_id}: {differences}")
        if wrong and not repair:
            raise CommandError(f"{wrong} runs differ; --repair writes what was counted.")
        self.stdout.write(f"{wrong} runs repaired." if wrong else "All counters agree with the messages.")
