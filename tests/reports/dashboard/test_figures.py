from collections import Counter
from datetime import UTC, date, datetime, timedelta

import time_machine
from django.utils import timezone
from django.utils.timezone import localdate, now
from pytest_django import Settings

from accounts.models import User
from campaigns import services
from campaigns.messages.transactional import message_send
from campaigns.models import Campaign, Message
from campaigns.sandbox.server import Sandbox
from campaigns.states import MessageStatus
from reports.dashboard import figures
from reports.emails.digest import digest_of
from reports.models import ReportFrequency
from tests import factories
from tests.campaigns.engine import run_session, send_everything
from tests.campaigns.outcomes import count_minute, settle, started


def test_messages_by_state_agree_with_the_rows(alice: User, bob: User, admin: User) -> None:
    _first, run = started(alice, contacts=5)
    settle(run, 2, MessageStatus.SENT)
    _second, other = started(bob)
    settle(other, 3, MessageStatus.FAILED, "http_400")
    for user, rows in (
        (alice, Message.objects.filter(run__campaign__owner=alice)),
        (bob, Message.objects.filter(run__campaign__owner=bob)),
        (admin, Message.objects.all()),
    ):
        counted = Counter(rows.values_list("status", flat=True))
        found = figures.messages_by_status(user)
        assert set(found) == set(MessageStatus.values)
        assert {status: number for status, number in found.items() if number} == dict(counted)


def test_the_figures_of_campaigns_add_up_to_those_of_all(alice: User) -> None:
    for number in (1, 2):
        _campaign, run = started(alice, contacts=2)
        settle(run, number, MessageStatus.SENT)
    factories.campaign(alice, draft=True)
    rows = figures.figures_of(Campaign.objects.order_by("pk"))
    assert [row.total for row in rows] == [2, 4, 0]
    totals = figures.messages_by_status(alice)
    assert {status: sum(row.by_status[status] for row in rows) for status in totals} == totals


def test_deleted_campaigns_are_not_counted_but_their_messages_are(alice: User) -> None:
    campaign, run = started(alice, contacts=1)
    settle(run, 1, MessageStatus.SENT)
    services.campaign_delete(campaign=campaign, by=alice)
    assert not any(figures.campaigns_by_status(alice).values())
    assert figures.messages_by_status(alice)["sent"] == 1


def test_periods_begin_at_midnight_in_the_users_zone(alice: User, bob: User) -> None:
    with time_machine.travel(datetime(2026, 11, 24, 9, tzinfo=UTC), tick=False), timezone.override("Asia/Vladivostok"):
        _campaign, run = started(alice, contacts=1)
        midnight = datetime(2026, 11, 23, 14, tzinfo=UTC)  # 00:00 of the 24th in Vladivostok
        count_minute(run.pk, midnight, sent=1, failed=2, retried=3)
        count_minute(run.pk, midnight - timedelta(minutes=1), sent=10, failed=0, retried=0)
        count_minute(run.pk, midnight - timedelta(days=20), sent=100, failed=0, retried=0)
        today, week, month = figures.periods(alice, (1, 7, 30))
        assert (today.sent, today.failed, today.retried) == (1, 2, 3)
        assert (week.sent, month.sent) == (11, 111)
        assert [row.sent for row in figures.periods(bob, (1, 7, 30))] == [0, 0, 0]
        days = figures.by_day(alice, 3)
        assert [(row.day, row.sent, row.failed) for row in days] == [
            (date(2026, 11, 22), 0, 0),
            (date(2026, 11, 23), 10, 0),
            (date(2026, 11, 24), 1, 2),
        ]


def test_without_messages_all_figures_are_zero(alice: User) -> None:
    assert not any(figures.messages_by_status(alice).values())
    assert [row.sent for row in figures.periods(alice, (1,))] == [0]
    assert figures.figures_of([]) == []
    assert now() >= figures.periods(alice, (1,))[0].since


def test_manually_retried_messages_do_not_count_as_failed(alice: User, sandbox: Sandbox, settings: Settings) -> None:
    settings.RETRY_BASE = settings.RETRY_CAP = 0.01
    for _ in range(4):
        factories.contact(alice)
    campaign = factories.campaign(alice)
    sandbox.faults = sandbox.faults.updated({"refuse": 1})
    send_everything(campaign, sandbox)
    assert (figures.periods(alice, (1,))[0].failed, figures.by_day(alice, 1)[0].failed) == (4, 4)
    sandbox.faults = sandbox.faults.updated({"refuse": 0})
    services.campaign_retry_failed(campaign=campaign, by=alice)
    campaign.refresh_from_db()
    send_everything(campaign, sandbox)
    today = figures.periods(alice, (1,))[0]
    assert (today.sent, today.failed, today.retried) == (4, 0, 4)
    assert figures.by_day(alice, 1)[0].failed == 0


def test_a_text_that_renders_empty_counts_as_failed_everywhere(alice: User, sandbox: Sandbox) -> None:
    factories.contact(alice)
    send_everything(factories.campaign(alice, text="{first_name}{nickname|}"), sandbox)
    assert figures.messages_by_status(alice)["failed"] == figures.periods(alice, (1,))[0].failed == 1


def test_transactional_messages_count_as_messages_not_as_a_campaign(alice: User, sandbox: Sandbox) -> None:
    message = message_send(owner=alice, phone="79991234567", text="Your code is 1234")
    run_session(sandbox)
    assert Message.objects.get(pk=message.pk).status == MessageStatus.SENT
    section = digest_of(alice, ReportFrequency.DAILY, localdate()).own
    assert (section.number, section.lines, section.sent) == (0, 1, 1)


def test_a_late_report_lists_no_past_starts(alice: User) -> None:
    start = datetime(2026, 11, 24, 7, tzinfo=UTC)
    with time_machine.travel(datetime(2026, 11, 23, 12, tzinfo=UTC), tick=False):
        factories.campaign(alice, starts_at=start)
    with time_machine.travel(start - timedelta(hours=1), tick=False):
        assert len(digest_of(alice, ReportFrequency.DAILY, date(2026, 11, 23)).own.starts) == 1
    with time_machine.travel(start + timedelta(minutes=1), tick=False):
        assert not digest_of(alice, ReportFrequency.DAILY, date(2026, 11, 23)).own.starts
