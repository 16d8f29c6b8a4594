"""The pages around the report by e-mail."""

import re

import pytest
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from project.clock import now
from reports.letters import switch_of
from reports.models import Report, ReportStatus, Rhythm
from reports.schedule import latest_due
from tests.campaigns.pages import browser
from tests.reports.mailbox import Mailbox, part

PAGE, BODY, SEND = "/reports/email/", "/reports/email/body/", "/reports/email/send/"


@pytest.fixture(autouse=True)
def _no_pause(db: None) -> None:
    cache.clear()


@pytest.mark.parametrize("path", [PAGE, BODY])
def test_strangers_are_asked_to_sign_in(path: str) -> None:
    assert Client().get(path)["Location"].startswith("/accounts/login/")


def test_the_page_frames_the_mail_itself(alice: User) -> None:
    content = browser(alice).get(PAGE, {"rhythm": "weekly"}).content.decode()
    assert f'src="{BODY}?rhythm=weekly"' in content
    assert "You get no weekly report." in content
    assert "style=" not in content


def test_only_the_frame_may_have_inline_styles_and_nothing_else(alice: User) -> None:
    body, page = browser(alice).get(BODY), browser(alice).get(PAGE)
    rules = {"default-src 'none'", "style-src 'unsafe-inline'", "frame-ancestors 'self'"}
    assert set(body["Content-Security-Policy"].split("; ")) == rules
    assert body["X-Frame-Options"] == "SAMEORIGIN"
    assert "unsafe-inline" not in page["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (ReportStatus.SENT, "The last one was sent"),
        (ReportStatus.SKIPPED, "there was nothing to tell"),
        (ReportStatus.UNKNOWN, "may have arrived"),
        (ReportStatus.FAILED, "The last one was not sent: 554 No"),
        (ReportStatus.WAITING, "It will be tried again: 554 No"),
    ],
)
def test_it_says_what_became_of_the_last_one(alice: User, status: ReportStatus, words: str) -> None:
    day = latest_due(Rhythm.DAILY, alice.timezone, now())
    Report.objects.create(user=alice, day=day, due_at=now(), status=status, trouble="554 No")
    assert words in browser(alice).get(PAGE).content.decode()


def test_one_is_sent_now_and_not_instead_of_the_days(alice: User, mailbox: Mailbox) -> None:
    content = browser(alice).post(SEND, follow=True).content.decode()
    assert "on its way to alice@example.org" in content
    assert mailbox.readers == ["alice@example.org"]
    assert not Report.objects.exists()


def test_nobody_is_flooded(alice: User, mailbox: Mailbox) -> None:
    client = browser(alice)
    client.post(SEND)
    assert "Try again in a minute" in client.post(SEND, follow=True).content.decode()
    assert len(mailbox.accepted) == 1


def test_a_mail_server_that_refuses_or_is_away_is_told(alice: User, mailbox: Mailbox, settings: Settings) -> None:
    mailbox.refusals = ["554 5.7.1 No thanks"]
    assert "554 5.7.1 No thanks" in browser(alice).post(SEND, follow=True).content.decode()
    cache.clear()
    settings.EMAIL_PORT = 1
    assert "The mail server did not take it" in browser(alice).post(SEND, follow=True).content.decode()


def test_the_link_of_a_mail_asks_first_and_then_switches_off(alice: User, mailbox: Mailbox) -> None:
    browser(alice).post(SEND)
    link = re.search(r"/reports/email/off/\S+", part(mailbox.accepted[0], "plain"))
    assert link
    stranger = Client(enforce_csrf_checks=True)
    assert "Send no more daily reports to" in stranger.get(link[0]).content.decode()
    alice.refresh_from_db()
    assert alice.daily_report
    answer = stranger.post(link[0], {"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 200
    assert "No more daily reports come to" in answer.content.decode()
    alice.refresh_from_db()
    assert not alice.daily_report
    assert stranger.post(link[0]).status_code == 200


def test_each_link_is_about_its_own_rhythm(alice: User) -> None:
    User.objects.update(weekly_report=True)
    Client().post(f"/reports/email/off/{switch_of(alice, Rhythm.WEEKLY)}/")
    alice.refresh_from_db()
    assert (alice.daily_report, alice.weekly_report) == (True, False)


@pytest.mark.parametrize("token", ["x", "WzEsImRhaWx5Il0:1:forged", "%00", "a" * 5000])
def test_a_forged_link_switches_nothing(alice: User, token: str) -> None:
    assert Client().post(f"/reports/email/off/{token}/").status_code == 404
    alice.refresh_from_db()
    assert alice.daily_report


def test_the_choice_stands_in_the_account(alice: User) -> None:
    client = browser(alice)
    assert PAGE in client.get("/account/").content.decode()
    fields = {"timezone": "Asia/Omsk", "language": "en", "weekly_report": "on", "empty_reports": "on"}
    client.post("/account/", fields)
    alice.refresh_from_db()
    assert (alice.daily_report, alice.weekly_report, alice.empty_reports) == (False, True, True)
