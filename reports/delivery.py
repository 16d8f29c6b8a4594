"""Send reports: each is claimed, written, marked as going out, handed to the mail server, and marked as sent.

Whoever dies before the mail goes out leaves a claim that runs out, and the report is sent by another. Whoever dies
after that leaves it `unknown`: a report that is missing is a lesser harm than a letter that comes twice.

Of the three commits only the mark waits for the disk. With it the claim is there, too; and a power cut that undoes the
end alone leaves the mark, so that nothing is sent twice.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Final

import structlog

from project.clock import now
from project.queue import enqueue
from project.sql import unhurried
from reports.letters import letter_of
from reports.models import Report, ReportStatus
from reports.post import NotTaken, Post, Uncertain, Unreachable
from reports.schedule import plan

log = structlog.get_logger("vestnik.reports")

SEND: Final = "reports.tasks.send_reports"
CLAIM: Final = timedelta(minutes=3)
MOST_ATTEMPTS: Final = 24
_ROUND_SECONDS: Final = 20.0
_ROUND_REPORTS: Final = 2000
_LONGEST_WAIT: Final = 60


class ClaimLostError(Exception):
    """Somebody else has the report by now."""


def reports_sweep() -> None:
    """Rescue what dead workers left, make the rows of what has become due, and leave a hint if anything is."""
    rescue()
    plan()
    if Report.objects.due().exists():
        enqueue(SEND)


def rescue() -> None:
    """Reports that went out with their worker may have arrived; the others certainly did not."""
    moment = now()
    left = Report.objects.abandoned()
    left.filter(handed_at__isnull=False).update(status=ReportStatus.UNKNOWN, changed_at=moment, trouble="worker died")
    left.filter(handed_at=None).update(status=ReportStatus.WAITING, due_at=moment, changed_at=moment)


def send_due(stopping: Callable[[], bool]) -> None:
    """Send for a while what is due, and leave a hint for the rest."""
    until = time.monotonic() + _ROUND_SECONDS
    pks = Report.objects.due().values_list("pk", flat=True)[:_ROUND_REPORTS]
    send_each(list(pks), lambda: stopping() or time.monotonic() > until)
    if time.monotonic() > until:
        enqueue(SEND)


def send_each(pks: Iterable[int], enough: Callable[[], bool] = lambda: False) -> Counter[str]:
    """Send those of these reports that are still due, and return how many ended in which state.

    A mail server that can't be reached ends it: one report has then waited in vain, not all of them.
    """
    ends: Counter[str] = Counter()
    with Post() as post:
        for pk in pks:
            if enough():
                break
            report = Report.claim(pk, CLAIM)
            if report is None:
                continue
            try:
                ends[send(report, post)] += 1
            except Unreachable as error:
                ends[_again(report, str(error))] += 1
                break
    return ends


def send(report: Report, post: Post) -> ReportStatus:
    """Send a claimed report, and return its state. Raises Unreachable when there is no mail server."""
    try:
        letter = letter_of(report)
        if letter is None:
            return _end(report, ReportStatus.SKIPPED)
        post.hand_over(letter, lambda: _going_out(report))
    except Unreachable:
        raise
    except NotTaken as error:
        return _again(report, str(error))
    except Uncertain as error:
        return _end(report, ReportStatus.UNKNOWN, str(error))
    except ClaimLostError:
        return ReportStatus.SENDING
    except Exception as error:
        log.exception("report could not be written", report=report.pk)
        return _again(report, type(error).__name__)
    return _end(report, ReportStatus.SENT)


def _going_out(report: Report) -> None:
    if not report.change(handed_at=now()):
        raise ClaimLostError


def _end(report: Report, status: ReportStatus, trouble: str = "") -> ReportStatus:
    with unhurried():
        report.change(status=status, trouble=trouble)
    log.info("report", report=report.pk, user=report.user_id, day=str(report.day), outcome=status.value)
    return status


def _again(report: Report, trouble: str) -> ReportStatus:
    """Wait before the next attempt, twice as long each time, an hour at most; give up after about a day."""
    log.warning("report not sent", report=report.pk, user=report.user_id, attempt=report.attempts, error=trouble)
    if report.attempts >= MOST_ATTEMPTS:
        return _end(report, ReportStatus.FAILED, trouble)
    pause = timedelta(minutes=min(_LONGEST_WAIT, 2 ** (report.attempts - 1)))
    report.change(status=ReportStatus.WAITING, due_at=now() + pause, handed_at=None, trouble=trouble)
    return ReportStatus.WAITING
