"""Send reports: each is claimed, rendered, marked as handed over, passed to the mail server, and marked as sent.

If a worker dies before the mark, the claim expires and another worker sends the report. If it dies after the mark, the
report becomes `unknown`: a missing report does less harm than a duplicate.

Of the three commits only that of the mark waits for the disk. It includes the claim. If a power failure loses the last
commit, the mark is still there, so nothing is sent twice.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Final

import structlog

from accounts.metrics import MAILS
from project.core.clock import now
from project.core.sql import async_commit
from project.queue import broker
from project.queue.tasks import task
from reports.emails.rendering import email_of
from reports.emails.schedule import plan
from reports.emails.smtp import NotAccepted, SmtpSession, Uncertain, Unreachable
from reports.models import Report, ReportStatus

log = structlog.get_logger("vestnik.reports")

CLAIM: Final = timedelta(minutes=3)
MAX_ATTEMPTS: Final = 24
_ROUND_SECONDS: Final = 20.0
_ROUND_REPORTS: Final = 2000
_MAX_WAIT_MINUTES: Final = 60


class ClaimLostError(Exception):
    """Another worker has claimed the report."""


def reports_sweep() -> None:
    """Rescue reports of dead workers, create reports that are due, and leave a hint if there are any."""
    rescue()
    plan()
    if Report.objects.due().exists():
        send_reports.enqueue()


def rescue() -> None:
    """Set reports of dead workers to unknown if they were handed over, else back to waiting."""
    moment = now()
    abandoned = Report.objects.abandoned()
    abandoned.filter(handed_at__isnull=False).update(
        status=ReportStatus.UNKNOWN, changed_at=moment, last_error="worker died"
    )
    abandoned.filter(handed_at=None).update(status=ReportStatus.WAITING, due_at=moment, changed_at=moment)


@task("reports.tasks.send_reports")
def send_reports() -> None:
    """Send due reports."""
    send_due(lambda: bool(broker.stopping.value))


def send_due(stopping: Callable[[], bool]) -> None:
    """Send due reports for a limited time, and leave a hint for the rest."""
    until = time.monotonic() + _ROUND_SECONDS
    pks = Report.objects.due().values_list("pk", flat=True)[:_ROUND_REPORTS]
    send_each(list(pks), lambda: stopping() or time.monotonic() > until)
    if time.monotonic() > until:
        send_reports.enqueue()


def send_each(pks: Iterable[int], enough: Callable[[], bool] = lambda: False) -> Counter[str]:
    """Send those of these reports that are still due; return the number by resulting status.

    It stops if the mail server is unreachable, so only one report has lost an attempt.
    """
    outcomes: Counter[str] = Counter()
    with SmtpSession() as session:
        for pk in pks:
            if enough():
                break
            report = Report.claim(pk, CLAIM)
            if report is None:
                continue
            try:
                outcomes[send(report, session)] += 1
            except Unreachable as error:
                outcomes[_retry_later(report, str(error))] += 1
                break
    return outcomes


def send(report: Report, session: SmtpSession) -> ReportStatus:
    """Send a claimed report, and return its status. Raises Unreachable if there is no mail server."""
    try:
        email = email_of(report)
        if email is None:
            return _finish(report, ReportStatus.SKIPPED)
        session.send(email, lambda: _mark_handed_over(report))
    except Unreachable:
        raise
    except NotAccepted as error:
        return _retry_later(report, str(error))
    except Uncertain as error:
        return _finish(report, ReportStatus.UNKNOWN, str(error))
    except ClaimLostError:
        return ReportStatus.SENDING
    except Exception as error:
        log.exception("report could not be written", report=report.pk)
        return _retry_later(report, type(error).__name__)
    return _finish(report, ReportStatus.SENT)


def _mark_handed_over(report: Report) -> None:
    if not report.change(handed_at=now()):
        raise ClaimLostError


def _finish(report: Report, status: ReportStatus, error: str = "") -> ReportStatus:
    with async_commit():
        report.change(status=status, last_error=error)
    if status in (ReportStatus.SENT, ReportStatus.FAILED, ReportStatus.UNKNOWN):
        MAILS.add("report", status.value)
    log.info("report", report=report.pk, user=report.user_id, day=str(report.day), outcome=status.value)
    return status


def _retry_later(report: Report, error: str) -> ReportStatus:
    """Schedule the next attempt with exponential backoff, up to an hour; give up after about a day."""
    MAILS.add("report", "retried")
    log.warning("report not sent", report=report.pk, user=report.user_id, attempt=report.attempts, error=error)
    if report.attempts >= MAX_ATTEMPTS:
        return _finish(report, ReportStatus.FAILED, error)
    pause = timedelta(minutes=min(_MAX_WAIT_MINUTES, 2 ** (report.attempts - 1)))
    report.change(status=ReportStatus.WAITING, due_at=now() + pause, handed_at=None, last_error=error)
    return ReportStatus.WAITING
