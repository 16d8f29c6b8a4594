"""`manage.py make_messages`: create finished campaigns, to test with ten million messages."""

from argparse import ArgumentParser
from collections import Counter
from datetime import datetime, timedelta
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.models import Count, Sum
from django.db.models.functions import TruncMinute

from accounts.models import User
from campaigns.models import Attempt, Campaign, Message, Run, RunMinute
from campaigns.states import ACCEPTED, CampaignStatus, MessageStatus
from directory.audiences.audience import Audience
from directory.models import Contact
from project.core.clock import now
from project.core.sql import async_commit, execute, prefer_index_scans, stamp

_DURATION_SECONDS: Final = 7200
# A number below 1000 that varies by contact and run; it decides the outcome of the message.
_DICE: Final = "(id * 7919 + %s * 104729) %% 1000"
_STATUS: Final = """CASE WHEN dice < 25 THEN 'failed' WHEN dice < 28 THEN 'expired' WHEN dice < 30 THEN 'cancelled'
    WHEN dice < 31 THEN 'unknown' WHEN dice < 50 THEN 'undelivered' WHEN dice < 300 THEN 'sent' ELSE 'delivered' END"""
_REASON: Final = """CASE WHEN dice < 12 THEN 'http_400' WHEN dice < 20 THEN 'http_422' WHEN dice < 25 THEN 'timeout'
    WHEN dice < 28 THEN '' WHEN dice < 30 THEN 'not_recipient' WHEN dice < 31 THEN 'worker_died' ELSE '' END"""
# Every twentieth accepted message took two attempts.
_ATTEMPTS: Final = "CASE WHEN dice >= 25 AND dice < 30 THEN 0 WHEN dice >= 50 AND dice % 20 = 0 THEN 2 ELSE 1 END"


class Command(BaseCommand):
    """Adds finished campaigns for all users, each with one run, matching counters and attempts."""

    help = "Create finished campaigns with that many messages to the contacts of the directory."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Numbers of messages, campaigns and days."""
        parser.add_argument("--messages", type=int, required=True, help="how many to add")
        parser.add_argument("--campaigns", type=int, default=200, help="how many campaigns they belong to")
        parser.add_argument("--days", type=int, default=365, help="over how many days, the last of them yesterday")

    def handle(self, *args: Any, messages: int, campaigns: int, days: int, **options: Any) -> None:
        """Create the campaigns, owned by the users in turn, each to the next contacts."""
        per_campaign = messages // campaigns
        owners = list(User.objects.filter(is_active=True).order_by("pk"))
        if not owners or not 0 < per_campaign <= Contact.objects.count():
            raise CommandError("Too few users or contacts. Make some first: createsuperuser, make_directory")
        last = 0
        for number in range(campaigns):
            moment = (now() - timedelta(days=1 + number % days)).replace(hour=6 + number % 9, minute=0, second=0)
            last = _campaign(owners[number % len(owners)], moment, number, per_campaign, after=last)
        if connection.vendor == "postgresql":
            execute("ANALYZE", [])
        self.stdout.write(f"There are {sum(run.total for run in Run.objects.all())} messages.")


@async_commit()
def _campaign(owner: User, moment: datetime, number: int, messages: int, *, after: int) -> int:
    """Create a campaign to the contacts with ids above `after`, or from the first if too few; return the last id."""
    contacts = Contact.objects.order_by("pk")
    ids = contacts.filter(pk__gt=after).values_list("pk", flat=True)[messages - 1 : messages]
    if not ids:
        after, ids = 0, contacts.values_list("pk", flat=True)[messages - 1 : messages]
    ended = moment + timedelta(seconds=_DURATION_SECONDS)
    prefer_index_scans()
    campaign = Campaign.objects.create(
        owner=owner,
        name=f"Made up {number + 1}",
        text=f"Made up, {moment:%Y-%m-%d}, {number + 1}",
        audience=Audience().to_json(),
        starts_at=moment,
        ends_at=moment + timedelta(days=1),
        timezone=owner.timezone,
        status=CampaignStatus.FINISHED,
        finished_at=ended,
    )
    run = Run.objects.create(campaign=campaign, occurrence=moment, started_at=moment, finished_at=ended)
    _messages(run, after, ids[0])
    execute(
        f"INSERT INTO {Attempt._meta.db_table} (message_id, at, reason, answer, duration_ms, uncertain) "  # noqa: S608
        "SELECT id, changed_at, CASE WHEN attempts = 2 THEN 'timeout' ELSE reason END, '', 40, attempts = 2 "
        f"FROM {Message._meta.db_table} WHERE run_id = %s AND (attempts = 2 OR status IN ('failed', 'unknown'))",
        [run.pk],
    )
    _count(run)
    return int(ids[0])


def _messages(run: Run, after: int, last: int) -> None:
    """Create a message to each contact in that range, with varying times and outcomes."""
    seconds = f"(id * 37 %% {_DURATION_SECONDS})"
    changed_at = {
        "postgresql": f"CAST(%s AS timestamptz) + {seconds} * interval '1 second'",
        "sqlite": f"strftime('%%Y-%%m-%%d %%H:%%M:%%S', %s, {seconds} || ' seconds')",
    }
    values = {
        "run_id": "%s",
        "contact_id": "id",
        "status": _STATUS,
        "due_at": "%s",
        "changed_at": changed_at[connection.vendor],
        "attempts": _ATTEMPTS.replace("%", "%%"),
        "reason": _REASON,
        "phone": "phone",
        "text": "'Made up'",
        "parts": "1",
        "leases": "0",
    }
    execute(
        f"INSERT INTO {Message._meta.db_table} ({', '.join(values)}) SELECT {', '.join(values.values())} "  # noqa: S608
        f"FROM (SELECT id, phone, {_DICE} AS dice FROM {Contact._meta.db_table} WHERE id > %s AND id <= %s) AS chosen",
        [run.pk, stamp(run.started_at), stamp(run.started_at), run.pk, after, last],
    )


def _count(run: Run) -> None:
    """Set the counters as the engine would."""
    messages, failed_attempts = (
        Message.objects.filter(run=run).order_by(),
        Attempt.objects.filter(message__run=run).order_by(),
    )
    by_status = dict(messages.values_list("status").annotate(Count("pk")))
    accepted = messages.filter(status__in=ACCEPTED)
    parts = accepted.aggregate(all_parts=Sum("parts"))["all_parts"] or 0
    attempts = accepted.count() + failed_attempts.count()
    Run.objects.filter(pk=run.pk).update(**by_status, attempts=attempts, parts=parts)
    sent = Counter(dict(accepted.values_list(TruncMinute("changed_at")).annotate(Count("pk"))))
    failed_messages = messages.filter(status=MessageStatus.FAILED)
    failed = Counter(dict(failed_messages.values_list(TruncMinute("changed_at")).annotate(Count("pk"))))
    retried_attempts = failed_attempts.filter(message__attempts=2)
    retried = Counter(dict(retried_attempts.values_list(TruncMinute("at")).annotate(Count("pk"))))
    RunMinute.objects.bulk_create(
        RunMinute(run=run, minute=minute, sent=sent[minute], failed=failed[minute], retried=retried[minute])
        for minute in sent | failed | retried
    )
