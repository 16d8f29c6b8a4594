"""The contents of report e-mails, in both parts and both languages."""

from datetime import UTC, date, datetime, timedelta

import pytest
import time_machine

from accounts.models import User
from campaigns.messages.transactional import message_send
from campaigns.models import Message, Run
from campaigns.services import campaign_delete
from campaigns.states import MessageStatus, Repeat
from project.core.money import money
from reports.emails.digest import digest_of
from reports.emails.dispatcher import send_each
from reports.models import Report, ReportFrequency
from tests import factories
from tests.campaigns.outcomes import count_minute, settle, spend, started
from tests.reports.emails.mailbox import Mailbox, part

DAY = date(2026, 11, 23)
NOON = datetime(2026, 11, 23, 9, tzinfo=UTC)  # 12:00 in Moscow
MORNING = datetime(2026, 11, 24, 5, tzinfo=UTC)


@pytest.fixture
def autumn(alice: User) -> Run:
    """Alice's campaign of that noon: two of six messages failed for two reasons, and one is pending."""
    with time_machine.travel(NOON, tick=False):
        _campaign, run = started(alice, contacts=6, name="Autumn & <Winter>")
        settle(run, 3, MessageStatus.SENT)
        settle(run, 1, MessageStatus.FAILED, "http_400")
        settle(run, 1, MessageStatus.FAILED, "timeout")
    return run


def report_parts(
    user: User, mailbox: Mailbox, day: date = DAY, frequency: ReportFrequency = ReportFrequency.DAILY
) -> tuple[str, str, str]:
    """Subject, plain text and HTML of the user's report."""
    report = Report.objects.create(user=user, day=day, frequency=frequency, due_at=MORNING)
    with time_machine.travel(MORNING, tick=False):
        send_each([report.pk])
    mail = mailbox.accepted[-1]
    assert mail["To"] == user.email
    return mail["Subject"].strip(), part(mail, "plain"), part(mail, "html")


def test_both_parts_have_figures_reasons_and_upcoming_starts(alice: User, autumn: Run, mailbox: Mailbox) -> None:
    with time_machine.travel(NOON, tick=False):
        factories.campaign(alice, name="Winter", starts_at=datetime(2026, 11, 24, 15, 30, tzinfo=UTC))
        factories.campaign(alice, name="Too late", starts_at=datetime(2026, 11, 25, 15, 30, tzinfo=UTC))
    subject, plain, html = report_parts(alice, mailbox)
    assert subject == "Vestnik, Mon 23 Nov: 3 sent, 2 failed"
    for text in (plain, html):
        assert "Monday, 23 November" in text
        assert "1 campaign sent messages. 1 campaign start is scheduled." in text
        assert "Rejected by the gateway (400): 1" in text
        assert "The gateway did not respond in time: 1" in text
        assert "Winter" in text
        assert "Tue 24 Nov 18:30" in text
        assert "Too late" not in text
        assert f"http://localhost:8000/campaigns/{autumn.campaign_id}/" in text
        assert "Europe/Moscow time." in text
    assert "Autumn & <Winter>" in plain
    assert "3 sent, 2 failed" in plain
    assert "\n\n\n" not in plain
    assert "Autumn &amp; &lt;Winter&gt;" in html


def test_the_cost_is_shown_in_total_and_by_campaign(alice: User, admin: User, autumn: Run, mailbox: Mailbox) -> None:
    assert "Cost" not in "".join(report_parts(alice, mailbox))
    Report.objects.all().delete()
    with time_machine.travel(NOON, tick=False):
        spend(autumn, "2.5", 3)
    with time_machine.travel(MORNING, tick=False):
        spend(autumn, "1")
    for user in (alice, admin):
        _subject, plain, html = report_parts(user, mailbox)
        assert f"Cost: {money(7_500_000)}" in plain
        assert f"3 sent, 2 failed · {money(7_500_000)}" in plain
        assert f"Cost: <strong>{money(7_500_000)}</strong>" in html
        assert html.count(money(7_500_000)) == 2


def test_the_html_suits_mail_clients(alice: User, autumn: Run, mailbox: Mailbox) -> None:
    _subject, _plain, html = report_parts(alice, mailbox)
    assert "prefers-color-scheme: dark" in html
    for forbidden in ("<script", "<link", "<img", "var(--", "oklch", "<svg", "display: grid", "display: flex"):
        assert forbidden not in html
    assert len(html) < 100_000  # Gmail cuts off at 102 KB


def test_the_headers_let_mail_clients_unsubscribe(alice: User, autumn: Run, mailbox: Mailbox) -> None:
    _subject, plain, html = report_parts(alice, mailbox)
    mail = mailbox.accepted[0]
    link = mail["List-Unsubscribe"].strip(" <>")
    assert link.startswith("http://localhost:8000/reports/email/off/")
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Message-ID"] == f"<report-{Report.objects.get().pk}@localhost>"
    assert link in plain
    assert link in html


def test_it_is_in_the_users_language(alice: User, autumn: Run, mailbox: Mailbox) -> None:
    alice.language = "ru"
    alice.save()
    subject, plain, html = report_parts(alice, mailbox)
    assert subject == "Vestnik, Пн 23 ноября: отправлено 3, 2 ошибки"
    for text in (plain, html):
        assert "понедельник, 23 ноября" in text.lower()
        assert "Сообщения отправляла 1 кампания." in text
        assert "Ничего не запланировано." in text
        assert "Отписаться" in text
    assert '<html lang="ru">' in html


@pytest.mark.parametrize(
    ("number", "words"), [(2, "отправляли 2 кампании"), (5, "отправляли 5 кампаний"), (21, "отправляла 21 кампания")]
)
def test_russian_counts_in_three_forms(alice: User, mailbox: Mailbox, number: int, words: str) -> None:
    alice.language = "ru"
    alice.save()
    for _ in range(number):
        _campaign, run = started(alice)
        count_minute(run.pk, NOON, sent=1, failed=0, retried=0)
    _subject, plain, _html = report_parts(alice, mailbox)
    assert words in plain
    assert ("И ещё 1 кампания." in plain) == (number == 21)


def test_the_day_is_that_of_the_users_zone(alice: User, mailbox: Mailbox) -> None:
    alice.timezone = "Asia/Kamchatka"  # UTC+12
    alice.save()
    _campaign, run = started(alice)
    midnight = datetime(2026, 11, 22, 12, tzinfo=UTC)
    for moment, sent in (
        (midnight - timedelta(minutes=1), 1000),
        (midnight, 20),
        (midnight + timedelta(hours=23, minutes=59), 4),
        (midnight + timedelta(hours=24), 10_000),
    ):
        count_minute(run.pk, moment, sent=sent, failed=0, retried=0)
    assert report_parts(alice, mailbox)[0].endswith(": 24 sent")


def test_an_administrator_also_gets_the_figures_of_the_whole_installation(
    alice: User, admin: User, autumn: Run, mailbox: Mailbox
) -> None:
    subject, plain, html = report_parts(admin, mailbox)
    assert subject.endswith("3 sent, 2 failed")
    assert "The whole system" in plain
    assert "Autumn & <Winter> · Alice" in plain
    assert "The whole system" in html
    assert "The whole system" not in report_parts(alice, mailbox)[1]


def test_other_users_campaigns_are_not_included(bob: User, autumn: Run, mailbox: Mailbox) -> None:
    bob.empty_reports = True
    bob.save()
    subject, plain, html = report_parts(bob, mailbox)
    assert subject == "Vestnik, Mon 23 Nov: nothing was sent"
    assert "Autumn" not in plain + html
    assert "Nothing was sent. Nothing is scheduled." in plain


def test_transactional_messages_and_deleted_campaigns_have_no_link(alice: User, mailbox: Mailbox) -> None:
    with time_machine.travel(NOON, tick=False):
        message_send(owner=alice, phone="79990001122", text="Hello")
        campaign, run = started(alice, contacts=1, name="Gone")
        for each in (run, Run.objects.get(campaign__transactional=True)):
            settle(each, 1, MessageStatus.SENT)
        campaign_delete(campaign=campaign, by=alice)
    _subject, plain, html = report_parts(alice, mailbox)
    assert "Single messages" in plain
    assert "Gone" in plain
    assert "/campaigns/" not in plain + html


def test_a_weekly_report_adds_up_seven_days(alice: User, mailbox: Mailbox) -> None:
    alice.weekly_report = True
    alice.save()
    _campaign, run = started(alice)
    for days in range(9):  # Saturday the 14th to Sunday the 22nd
        count_minute(run.pk, NOON - timedelta(days=9 - days), sent=10**days, failed=0, retried=0)
    subject, plain, _html = report_parts(alice, mailbox, date(2026, 11, 22), ReportFrequency.WEEKLY)
    assert subject.replace("\N{NARROW NO-BREAK SPACE}", "") == "Vestnik, 16 Nov – 22 Nov: 111111100 sent"
    assert "on Mondays at 08:00" in plain


def test_repeated_campaigns_are_planned_in_their_own_zone(alice: User) -> None:
    start = datetime(2026, 11, 1, 7, tzinfo=UTC)
    with time_machine.travel(start - timedelta(hours=1), tick=False):
        fields = {"ends_at": start + timedelta(days=60), "repeat": Repeat.DAILY, "starts_at": start}
        row = factories.campaign(alice, **fields)
    with time_machine.travel(MORNING, tick=False):
        starts = digest_of(alice, ReportFrequency.DAILY, DAY).own.starts
        assert [(each.campaign, each.at) for each in starts] == [(row, datetime(2026, 11, 24, 7, tzinfo=UTC))]


def test_failures_of_other_days_and_retried_ones_have_no_reasons(alice: User, autumn: Run) -> None:
    with time_machine.travel(MORNING, tick=False):
        assert len(digest_of(alice, ReportFrequency.DAILY, DAY).own.campaigns[0].reasons) == 2
        Message.objects.filter(reason="timeout").update(changed_at=MORNING)
        (reason,) = digest_of(alice, ReportFrequency.DAILY, DAY).own.campaigns[0].reasons
    assert (reason.words, reason.number) == ("Rejected by the gateway (400)", 1)
