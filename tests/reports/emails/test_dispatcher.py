"""Each report is sent once, whatever the mail server does and whichever process dies."""

import threading
from datetime import UTC, date, datetime, timedelta

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import connection
from django_q.models import OrmQ
from pytest_django import Settings

from accounts.models import User
from campaigns.models import Run
from reports.emails import dispatcher, smtp
from reports.emails.dispatcher import CLAIM, MAX_ATTEMPTS, reports_sweep, rescue
from reports.emails.rendering import email_of
from reports.models import Report, ReportStatus
from reports.tasks import send_reports, sweep
from tests import factories
from tests.campaigns.outcomes import count_minute, started
from tests.metric_values import counted
from tests.reports.emails.mailbox import Mailbox

DAY = date(2026, 11, 23)
MORNING = datetime(2026, 11, 24, 5, 0, 10, tzinfo=UTC)  # 08:00 in Moscow
MINUTE = timedelta(minutes=1)


@pytest.fixture
def reader(db: None) -> User:
    """A user who gets empty reports, too."""
    return factories.user("reader@example.org", empty_reports=True, date_joined=datetime(2026, 1, 1, tzinfo=UTC))


def busy(user: User) -> Run:
    """Create a run with a sent message of the user on that day."""
    _campaign, run = started(user, contacts=1)
    count_minute(run.pk, datetime(2026, 11, 23, 12, tzinfo=UTC), sent=5, failed=1, retried=2)
    return run


def morning_of(moment: datetime = MORNING) -> Report:
    """Run the sweep at the due time; return the report."""
    with time_machine.travel(moment, tick=False):
        sweep()
        send_reports()
    return Report.objects.get()


def test_a_report_arrives_once(reader: User, mailbox: Mailbox) -> None:
    assert morning_of().status == ReportStatus.SENT
    for minutes in (1, 60, 600):
        morning_of(MORNING + minutes * MINUTE)
    assert mailbox.readers == ["reader@example.org"]
    assert morning_of(MORNING).attempts == 1


@pytest.mark.django_db(transaction=True)
def test_concurrent_tasks_and_refusals_send_one_email_each(mailbox: Mailbox) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time, and its database of the tests one connection")
    long_ago = datetime(2026, 1, 1, tzinfo=UTC)
    readers = [factories.user(empty_reports=True, date_joined=long_ago).email for _ in range(12)]
    mailbox.refusals, mailbox.rejections = ["451 4.3.0 Try again later"], ["450 4.2.1 Busy"]

    def work() -> None:
        try:
            send_reports()
        finally:
            connection.close()

    with time_machine.travel(MORNING, tick=False):
        sweep()
    for minutes in (0, 1, 2):
        with time_machine.travel(MORNING + minutes * MINUTE, tick=False):
            threads = [threading.Thread(target=work) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(30)
        assert len(mailbox.accepted) == (10 if not minutes else 12)
    assert sorted(mailbox.readers) == sorted(readers)
    assert set(Report.objects.values_list("status", flat=True)) == {"sent"}


@pytest.mark.parametrize("at", ["refusals", "rejections"])
def test_a_refusal_is_retried_with_backoff(reader: User, mailbox: Mailbox, at: str) -> None:
    setattr(mailbox, at, ["451 4.3.0 Try again later", "554 5.7.1 No"])
    report = morning_of()
    assert (report.status, report.last_error) == ("waiting", "451 4.3.0 Try again later")
    assert morning_of(MORNING + 59 * timedelta(seconds=1)).attempts == 1
    report = morning_of(MORNING + MINUTE)
    assert (report.attempts, report.last_error, mailbox.accepted) == (2, "554 5.7.1 No", [])
    assert report.due_at == MORNING + 3 * MINUTE
    assert morning_of(MORNING + 3 * MINUTE).status == ReportStatus.SENT
    assert mailbox.readers == ["reader@example.org"]


def test_an_unreachable_server_costs_only_one_report_an_attempt(
    reader: User, mailbox: Mailbox, settings: Settings
) -> None:
    factories.user(empty_reports=True, date_joined=reader.date_joined)
    settings.EMAIL_PORT = 1
    with time_machine.travel(MORNING, tick=False):
        sweep()
        send_reports()
    assert sorted(Report.objects.values_list("attempts", flat=True)) == [0, 1]
    settings.EMAIL_PORT = mailbox.port
    with time_machine.travel(MORNING + MINUTE, tick=False):
        send_reports()
    assert len(mailbox.accepted) == 2


def test_after_a_day_of_refusals_it_fails(reader: User, mailbox: Mailbox) -> None:
    mailbox.rejections = ["550 5.1.1 No such user"] * 100
    morning_of()
    Report.objects.update(attempts=MAX_ATTEMPTS - 1, due_at=MORNING)
    assert morning_of().status == ReportStatus.FAILED
    assert counted("vestnik_mails", "report", "failed") == 1
    assert morning_of(MORNING + 60 * MINUTE).attempts == MAX_ATTEMPTS


def test_a_report_is_sent_again_if_the_worker_died_before_handing_it_over(
    reader: User, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as dying:
        dying.setattr(smtp, "_send_envelope", _die)
        with pytest.raises(SystemExit):
            morning_of()
    assert Report.objects.get().status == ReportStatus.SENDING
    assert morning_of(MORNING + MINUTE).status == ReportStatus.SENDING
    assert morning_of(MORNING + CLAIM + MINUTE).status == ReportStatus.SENT
    assert mailbox.readers == ["reader@example.org"]


def test_a_report_becomes_unknown_if_the_worker_died_after_handing_it_over(
    reader: User, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as dying:
        dying.setattr(dispatcher, "_finish", _die)
        with pytest.raises(SystemExit):
            morning_of()
    assert len(mailbox.accepted) == 1
    assert morning_of(MORNING + CLAIM + MINUTE).status == ReportStatus.UNKNOWN
    assert morning_of(MORNING + 100 * MINUTE).attempts == 1
    assert len(mailbox.accepted) == 1


def test_a_worker_whose_claim_expired_sends_nothing(reader: User, mailbox: Mailbox) -> None:
    morning = time_machine.travel(MORNING, tick=False)
    with morning:
        reports_sweep()
        slow = Report.claim(Report.objects.get().pk, CLAIM)
    assert slow
    assert morning_of(MORNING + CLAIM + MINUTE).status == ReportStatus.SENT
    with smtp.SmtpSession() as connection_of_the_slow:
        assert dispatcher.send(slow, connection_of_the_slow) == ReportStatus.SENDING
    assert len(mailbox.accepted) == 1


def test_a_report_that_cannot_be_rendered_stops_no_other(
    reader: User, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = factories.user("other@example.org", empty_reports=True, date_joined=reader.date_joined)
    monkeypatch.setattr(dispatcher, "email_of", lambda report: 1 // (report.user_id == other.pk) and email_of(report))
    with time_machine.travel(MORNING, tick=False):
        sweep()
        send_reports()
    assert mailbox.readers == ["other@example.org"]
    assert Report.objects.get(user=reader).last_error == "ZeroDivisionError"


def test_an_empty_report_is_not_sent(alice: User, mailbox: Mailbox) -> None:
    User.objects.update(date_joined=datetime(2026, 1, 1, tzinfo=UTC))
    assert morning_of().status == ReportStatus.SKIPPED
    assert morning_of(MORNING + 60 * MINUTE).attempts == 1
    assert not mailbox.accepted


def test_unsubscribing_at_the_last_moment_is_respected(reader: User, mailbox: Mailbox) -> None:
    with time_machine.travel(MORNING, tick=False):
        sweep()
        User.objects.update(daily_report=False)
        send_reports()
    assert not mailbox.accepted


def test_the_sweep_leaves_a_hint_only_when_something_is_due(reader: User) -> None:
    with time_machine.travel(MORNING - MINUTE, tick=False):
        Report.objects.create(user=reader, day=DAY - timedelta(days=1), status="sent", due_at=MORNING)
        sweep()
    assert not OrmQ.objects.exists()
    with time_machine.travel(MORNING, tick=False):
        sweep()
        rescue()
    assert [row.task["func"] for row in OrmQ.objects.all()] == ["reports.tasks.send_reports"]


class TestTheCommand:
    def test_it_sends_that_days_report_to_users_without_it(
        self, alice: User, bob: User, mailbox: Mailbox, capsys: pytest.CaptureFixture[str]
    ) -> None:
        busy(alice)
        with time_machine.travel(MORNING - 300 * MINUTE, tick=False):
            call_command("send_daily_report", "--date", "2026-11-23")
            call_command("send_daily_report", "--date", "2026-11-23")
        assert mailbox.readers == ["alice@example.org"]
        assert capsys.readouterr().out == "1 sent, 1 without activity.\n0 sent, 1 without activity.\n"
        busy(bob)
        with time_machine.travel(MORNING, tick=False):
            call_command("send_daily_report", "--date", "2026-11-23")
            sweep()
            send_reports()
        assert mailbox.readers == ["alice@example.org", "bob@example.org"]

    def test_it_retries_failed_reports_and_lists_unsent_ones(self, reader: User, mailbox: Mailbox) -> None:
        mailbox.refusals = ["554 5.7.1 No"]
        with time_machine.travel(MORNING, tick=False):
            with pytest.raises(CommandError, match="1 not sent"):
                call_command("send_daily_report", "--date", "2026-11-23")
            call_command("send_daily_report", "--date", "2026-11-23")
        assert mailbox.readers == ["reader@example.org"]

    @pytest.mark.parametrize("day", ["yesterday", "2026-02-30", "2999-01-01", "0001-01-01", ""])
    def test_a_bad_date_is_refused(self, db: None, day: str) -> None:
        with pytest.raises(CommandError):
            call_command("send_daily_report", "--date", day)


def _die(*args: object) -> None:
    raise SystemExit
