"""What a report says, in both parts and both languages."""

from datetime import UTC, date, datetime, timedelta

import pytest
import time_machine

from accounts.models import User
from campaigns.counters import count_minute
from campaigns.direct import message_send
from campaigns.models import Message, Run
from campaigns.services import campaign_delete
from campaigns.states import MessageStatus, Repeat
from reports.delivery import send_each
from reports.digest import digest_of
from reports.models import Report, Rhythm
from tests import factories
from tests.campaigns.outcomes import settle, started
from tests.reports.mailbox import Mailbox, part

DAY = date(2026, 11, 23)
NOON = datetime(2026, 11, 23, 9, tzinfo=UTC)  # 12:00 in Moscow
MORNING = datetime(2026, 11, 24, 5, tzinfo=UTC)


@pytest.fixture
def autumn(alice: User) -> Run:
    """Alice's campaign of that noon: of six messages two failed, for two reasons, and one waits."""
    with time_machine.travel(NOON, tick=False):
        _campaign, run = started(alice, contacts=6, name="Autumn & <Winter>")
        settle(run, 3, MessageStatus.SENT)
        settle(run, 1, MessageStatus.FAILED, "http_400")
        settle(run, 1, MessageStatus.FAILED, "timeout")
    return run


def told(user: User, mailbox: Mailbox, day: date = DAY, rhythm: Rhythm = Rhythm.DAILY) -> tuple[str, str, str]:
    """Subject, plain text and HTML of the report that the user gets."""
    report = Report.objects.create(user=user, day=day, rhythm=rhythm, due_at=MORNING)
    with time_machine.travel(MORNING, tick=False):
        send_each([report.pk])
    mail = mailbox.accepted[-1]
    assert mail["To"] == user.email
    return mail["Subject"].strip(), part(mail, "plain"), part(mail, "html")


def test_both_parts_tell_what_was_sent_what_failed_why_and_what_comes(
    alice: User, autumn: Run, mailbox: Mailbox
) -> None:
    with time_machine.travel(NOON, tick=False):
        factories.campaign(alice, name="Winter", starts_at=datetime(2026, 11, 24, 15, 30, tzinfo=UTC))
        factories.campaign(alice, name="Too late", starts_at=datetime(2026, 11, 25, 15, 30, tzinfo=UTC))
    subject, plain, html = told(alice, mailbox)
    assert subject == "Vestnik, Mon 23 Nov: 3 sent, 2 failed"
    for text in (plain, html):
        assert "Monday, 23 November" in text
        assert "1 campaign sent something. 1 start is planned." in text
        assert "Refused by the gateway (400): 1" in text
        assert "No answer in time: 1" in text
        assert "Winter" in text
        assert "Tue 24 Nov 18:30" in text
        assert "Too late" not in text
        assert f"http://localhost:8000/campaigns/{autumn.campaign_id}/" in text
        assert "by clocks of Europe/Moscow" in text
    assert "Autumn & <Winter>" in plain
    assert "3 sent, 2 failed" in plain
    assert "\n\n\n" not in plain
    assert "Autumn &amp; &lt;Winter&gt;" in html


def test_the_mail_holds_in_mail_clients(alice: User, autumn: Run, mailbox: Mailbox) -> None:
    _subject, _plain, html = told(alice, mailbox)
    assert "prefers-color-scheme: dark" in html
    for forbidden in ("<script", "<link", "<img", "var(--", "oklch", "<svg", "display: grid", "display: flex"):
        assert forbidden not in html
    assert len(html) < 100_000  # Gmail cuts off at 102 KB


def test_the_headers_let_mail_clients_switch_it_off(alice: User, autumn: Run, mailbox: Mailbox) -> None:
    _subject, plain, html = told(alice, mailbox)
    mail = mailbox.accepted[0]
    link = mail["List-Unsubscribe"].strip(" <>")
    assert link.startswith("http://localhost:8000/reports/email/off/")
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Message-ID"] == f"<report-{Report.objects.get().pk}@localhost>"
    assert link in plain
    assert link in html


def test_it_comes_in_the_readers_language(alice: User, autumn: Run, mailbox: Mailbox) -> None:
    alice.language = "ru"
    alice.save()
    subject, plain, html = told(alice, mailbox)
    assert subject == "Vestnik, Пн 23 ноября: отправлено 3, 2 ошибки"
    for text in (plain, html):
        assert "понедельник, 23 ноября" in text.lower()
        assert "1 кампания отправляла сообщения." in text
        assert "Дальше ничего не запланировано." in text
        assert "Больше не присылать" in text
    assert '<html lang="ru">' in html


@pytest.mark.parametrize(
    ("number", "words"), [(2, "2 кампании отправляли"), (5, "5 кампаний отправляли"), (21, "21 кампания отправляла")]
)
def test_russian_counts_in_three_forms(alice: User, mailbox: Mailbox, number: int, words: str) -> None:
    alice.language = "ru"
    alice.save()
    for _ in range(number):
        _campaign, run = started(alice)
        count_minute(run.pk, NOON, sent=1, failed=0, retried=0)
    _subject, plain, _html = told(alice, mailbox)
    assert words in plain
    assert ("И ещё 1 кампания." in plain) == (number == 21)


def test_the_day_is_the_readers(alice: User, mailbox: Mailbox) -> None:
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
    assert told(alice, mailbox)[0].endswith(": 24 sent")


def test_an_administrator_gets_the_whole_systems_figures_too(
    alice: User, admin: User, autumn: Run, mailbox: Mailbox
) -> None:
    subject, plain, html = told(admin, mailbox)
    assert subject.endswith("3 sent, 2 failed")
    assert "The whole system" in plain
    assert "Autumn & <Winter> · Alice" in plain
    assert "The whole system" in html
    assert "The whole system" not in told(alice, mailbox)[1]


def test_others_campaigns_are_not_told(bob: User, autumn: Run, mailbox: Mailbox) -> None:
    bob.empty_reports = True
    bob.save()
    subject, plain, html = told(bob, mailbox)
    assert subject == "Vestnik, Mon 23 Nov: nothing was sent"
    assert "Autumn" not in plain + html
    assert "Nothing was sent. Nothing is scheduled next." in plain


def test_direct_messages_and_deleted_campaigns_are_told_without_a_link(alice: User, mailbox: Mailbox) -> None:
    with time_machine.travel(NOON, tick=False):
        message_send(owner=alice, phone="79990001122", text="Hello")
        campaign, run = started(alice, contacts=1, name="Gone")
        for each in (run, Run.objects.get(campaign__direct=True)):
            settle(each, 1, MessageStatus.SENT)
        campaign_delete(campaign=campaign, by=alice)
    _subject, plain, html = told(alice, mailbox)
    assert "Messages to single phones" in plain
    assert "Gone" in plain
    assert "/campaigns/" not in plain + html


def test_a_weekly_one_adds_up_seven_days(alice: User, mailbox: Mailbox) -> None:
    alice.weekly_report = True
    alice.save()
    _campaign, run = started(alice)
    for days in range(9):  # Saturday the 14th to Sunday the 22nd
        count_minute(run.pk, NOON - timedelta(days=9 - days), sent=10**days, failed=0, retried=0)
    subject, plain, _html = told(alice, mailbox, date(2026, 11, 22), Rhythm.WEEKLY)
    assert subject.replace("\N{NARROW NO-BREAK SPACE}", "") == "Vestnik, 16 Nov – 22 Nov: 111111100 sent"
    assert "on Mondays at 08:00" in plain


def test_repeated_campaigns_are_planned_by_their_own_clock(alice: User) -> None:
    start = datetime(2026, 11, 1, 7, tzinfo=UTC)
    with time_machine.travel(start - timedelta(hours=1), tick=False):
        fields = {"ends_at": start + timedelta(days=60), "repeat": Repeat.DAILY, "starts_at": start}
        row = factories.campaign(alice, **fields)
    with time_machine.travel(MORNING, tick=False):
        starts = digest_of(alice, Rhythm.DAILY, DAY).own.starts
        assert [(each.campaign, each.at) for each in starts] == [(row, datetime(2026, 11, 24, 7, tzinfo=UTC))]


def test_failures_of_other_days_and_those_tried_again_are_not_explained(alice: User, autumn: Run) -> None:
    with time_machine.travel(MORNING, tick=False):
        assert len(digest_of(alice, Rhythm.DAILY, DAY).own.campaigns[0].reasons) == 2
        Message.objects.filter(reason="timeout").update(changed_at=MORNING)
        (reason,) = digest_of(alice, Rhythm.DAILY, DAY).own.campaigns[0].reasons
    assert (reason.words, reason.number) == ("Refused by the gateway (400)", 1)
