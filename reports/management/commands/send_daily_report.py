"""`manage.py send_daily_report --date YYYY-MM-DD`: that day's reports, now."""

from argparse import ArgumentParser, ArgumentTypeError
from datetime import date, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from project.clock import now
from reports.delivery import send_each
from reports.models import Report, ReportStatus, Rhythm
from reports.schedule import plan_day

_AGAIN = (ReportStatus.WAITING, ReportStatus.SKIPPED, ReportStatus.FAILED)


def past_day(text: str) -> date:
    """A day that has begun somewhere on Earth, and of which there may be something to tell."""
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(f"not a date like 2026-11-24: {text}") from error
    if day > (now() + timedelta(hours=14)).date():
        raise ArgumentTypeError(f"{text} has not begun yet")
    if day.year < 2000:
        raise ArgumentTypeError(f"{text} is before all messages")
    return day


class Command(BaseCommand):
    """For operators: after an outage of the mail server, or when reports should not wait for the morning.

    A report tells of the day that is named. Of a day that is not over it tells what has happened so far, and the user
    gets no other one of that day.
    """

    help = "Send the daily report of a day now to everyone who wants it and has not had it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The day that the reports tell of."""
        parser.add_argument("--date", type=past_day, required=True, metavar="YYYY-MM-DD", help="the day to tell of")

    def handle(self, *args: Any, date: date, **options: Any) -> None:
        """What a worker is at just now is left to it, and what may have arrived is not sent twice."""
        plan_day(date)
        rows = Report.objects.filter(rhythm=Rhythm.DAILY, day=date)
        rows.filter(status__in=_AGAIN).update(status=ReportStatus.WAITING, due_at=now())
        ends = send_each(list(rows.due().values_list("pk", flat=True)))
        left = rows.filter(status__in=(ReportStatus.WAITING, ReportStatus.FAILED)).count()
        self.stdout.write(f"{ends[ReportStatus.SENT]} sent, {ends[ReportStatus.SKIPPED]} with nothing to tell.")
        if left or ends[ReportStatus.UNKNOWN]:
            raise CommandError(f"{left} not sent, {ends[ReportStatus.UNKNOWN]} may have arrived.")
