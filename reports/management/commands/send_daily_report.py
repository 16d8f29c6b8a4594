"""`manage.py send_daily_report --date YYYY-MM-DD`: send that day's reports now."""

from argparse import ArgumentParser, ArgumentTypeError
from datetime import date, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from project.core.clock import now
from reports.emails.dispatcher import send_each
from reports.emails.schedule import plan_day
from reports.models import Report, ReportFrequency, ReportStatus

_RESENDABLE = (ReportStatus.WAITING, ReportStatus.SKIPPED, ReportStatus.FAILED)


def past_day(text: str) -> date:
    """Parse a day that has begun somewhere on Earth, and is not before 2000."""
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

    The report covers the given day. If the day is not over, it covers the day so far, and the user gets no other report
    for it.
    """

    help = "Send the daily report of a day now to everyone who wants it and has not had it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add `--date`, the day of the reports."""
        parser.add_argument("--date", type=past_day, required=True, metavar="YYYY-MM-DD", help="the day of the reports")

    def handle(self, *args: Any, date: date, **options: Any) -> None:
        """Send reports, except those that a worker is sending or that may have arrived."""
        plan_day(date)
        rows = Report.objects.filter(frequency=ReportFrequency.DAILY, day=date)
        rows.filter(status__in=_RESENDABLE).update(status=ReportStatus.WAITING, due_at=now())
        outcomes = send_each(list(rows.due().values_list("pk", flat=True)))
        unsent = rows.filter(status__in=(ReportStatus.WAITING, ReportStatus.FAILED)).count()
        self.stdout.write(f"{outcomes[ReportStatus.SENT]} sent, {outcomes[ReportStatus.SKIPPED]} without activity.")
        if unsent or outcomes[ReportStatus.UNKNOWN]:
            raise CommandError(f"{unsent} not sent, {outcomes[ReportStatus.UNKNOWN]} may have arrived.")
