"""The pages of the report e-mail."""

import re

import pytest
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from project.core.clock import now
from reports.emails.rendering import unsubscribe_token
from reports.emails.schedule import latest_due
from reports.models import Report, ReportFrequency, ReportStatus
from tests.campaigns.browser_client import browser
from tests.reports.emails.mailbox import Mailbox, part

PAGE, BODY, SEND = "/reports/email/", "/reports/email/body/", "/reports/email/send/"


@pytest.fixture(autouse=True)
def _no_pause(db: None) -> None:
    cache.clear()


@pytest.mark.parametrize("path", [PAGE, BODY])
def test_visitors_must_sign_in(path: str) -> None:
    assert Client().get(path)["Location"].startswith("/accounts/login/")


def test_the_page_shows_the_email_in_a_frame(alice: User) -> None:
    content = browser(alice).get(PAGE, {"rhythm": "weekly"}).content.decode()
    assert f'src="{BODY}?rhythm=weekly"' in content
    assert "Weekly reports are off." in content
    assert "style=" not in content


def test_the_frame_allows_only_inline_styles(alice: User) -> None:
    body, page = browser(alice).get(BODY), browser(alice).get(PAGE)
    rules = {"default-src 'none'", "style-src 'unsafe-inline'", "frame-ancestors 'self'"}
    assert set(body["Content-Security-Policy"].split("; ")) == rules
    assert body["X-Frame-Options"] == "SAMEORIGIN"
    assert "unsafe-inline" not in page["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (ReportStatus.SENT, "The last report was sent"),
        (ReportStatus.SKIPPED, "there was no activity"),
        (ReportStatus.UNKNOWN, "It is not known whether"),
        (ReportStatus.FAILED, "The last report was not sent: 554 No"),
        (ReportStatus.WAITING, "The last report will be retried: 554 No"),
    ],
)
def test_the_status_of_the_last_report_is_shown(alice: User, status: ReportStatus, words: str) -> None:
    day = latest_due(ReportFrequency.DAILY, alice.timezone, now())
    Report.objects.create(user=alice, day=day, due_at=now(), status=status, last_error="554 No")
    assert words in browser(alice).get(PAGE).content.decode()


def test_a_report_sent_now_does_not_replace_the_scheduled_one(alice: User, mailbox: Mailbox) -> None:
    content = browser(alice).post(SEND, follow=True).content.decode()
    assert "sent to alice@example.org" in content
    assert mailbox.readers == ["alice@example.org"]
    assert not Report.objects.exists()


def test_sending_now_is_rate_limited(alice: User, mailbox: Mailbox) -> None:
    client = browser(alice)
    client.post(SEND)
    assert "Try again in a minute" in client.post(SEND, follow=True).content.decode()
    assert len(mailbox.accepted) == 1


def test_errors_of_the_mail_server_are_shown(alice: User, mailbox: Mailbox, settings: Settings) -> None:
    mailbox.refusals = ["554 5.7.1 No thanks"]
    assert "554 5.7.1 No thanks" in browser(alice).post(SEND, follow=True).content.decode()
    cache.clear()
    settings.EMAIL_PORT = 1
    assert "The mail server rejected the e-mail" in browser(alice).post(SEND, follow=True).content.decode()


def test_the_unsubscribe_link_asks_before_it_unsubscribes(alice: User, mailbox: Mailbox) -> None:
    browser(alice).post(SEND)
    link = re.search(r"/reports/email/off/\S+", part(mailbox.accepted[0], "plain"))
    assert link
    stranger = Client(enforce_csrf_checks=True)
    assert "Stop sending daily reports to" in stranger.get(link[0]).content.decode()
    alice.refresh_from_db()
    assert alice.daily_report
    answer = stranger.post(link[0], {"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 200
    assert "Daily reports are no longer sent to" in answer.content.decode()
    alice.refresh_from_db()
    assert not alice.daily_report
    assert stranger.post(link[0]).status_code == 200


def test_each_unsubscribe_link_has_its_own_frequency(alice: User) -> None:
    User.objects.update(weekly_report=True)
    Client().post(f"/reports/email/off/{unsubscribe_token(alice, ReportFrequency.WEEKLY)}/")
    alice.refresh_from_db()
    assert (alice.daily_report, alice.weekly_report) == (True, False)


@pytest.mark.parametrize("token", ["x", "WzEsImRhaWx5Il0:1:forged", "%00", "a" * 5000])
def test_a_forged_link_unsubscribes_nobody(alice: User, token: str) -> None:
    assert Client().post(f"/reports/email/off/{token}/").status_code == 404
    alice.refresh_from_db()
    assert alice.daily_report


def test_the_subscription_is_shown_in_the_account(alice: User) -> None:
    client = browser(alice)
    assert PAGE in client.get("/account/").content.decode()
    fields = {"timezone": "Asia/Omsk", "language": "en", "weekly_report": "on", "empty_reports": "on"}
    client.post("/account/", fields)
    alice.refresh_from_db()
    assert (alice.daily_report, alice.weekly_report, alice.empty_reports) == (False, True, True)
