"""Whatever has happened: pages, API, e-mail and files say the same, and what the messages themselves say."""

import csv
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import time_machine
from django.db.models import Count
from django.db.models.functions import Coalesce, TruncDate
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from accounts.models import User
from campaigns.gateways.base import Answer, Outcome, Receipt, Verdict
from campaigns.lifecycle import campaign_advance
from campaigns.models import Attempt, Campaign, CampaignQuerySet, Message, MessageQuerySet
from campaigns.receipts import receipts_apply, receipts_take
from campaigns.routing import Route
from campaigns.sending.lease import lease
from campaigns.sending.record import Done, record
from campaigns.states import OPEN, MessageStatus
from campaigns.statistics import campaign_statistics
from reports import figures, tallies
from reports.digest import Section, digest_of
from reports.draft import ACCEPTED, ENDED
from reports.models import Facet, Rhythm
from tests import factories
from tests.campaigns.pages import browser
from tests.conftest import ApiClient

BEGIN = datetime(2026, 11, 21, 9, tzinfo=UTC)
END = datetime(2026, 11, 24, 9, tzinfo=UTC)
ZONES = ("Europe/Moscow", "Asia/Kamchatka", "America/Los_Angeles")
OUTCOMES = {
    "sent": Outcome(Verdict.SENT),
    "refused": Outcome(Verdict.REFUSED, "http_400"),
    "retry": Outcome(Verdict.RETRY, "timeout", uncertain=True),
}
RECEIPTS = {"delivered": True, "undelivered": False}
EVENTS = sorted({*OUTCOMES, *RECEIPTS})
STEPS = st.tuples(st.integers(0, 2), st.integers(0, 70 * 60), st.lists(st.sampled_from(EVENTS), max_size=4))


class TestAnyHistory(TestCase):
    """Three campaigns of two users; steps in which some of their messages end in one way or another."""

    @given(steps=st.lists(STEPS, max_size=10), zone=st.sampled_from(ZONES), joiners=st.integers(0, 6))
    @settings(max_examples=12, deadline=None)
    def test_all_figures_agree(self, steps: list[tuple[int, int, list[str]]], zone: str, joiners: int) -> None:
        alice, bob = (factories.user(f"{name}@example.org", timezone=zone) for name in ("alice", "bob"))
        admin = factories.user("admin@example.org", timezone=zone, is_staff=True)
        with time_machine.travel(BEGIN, tick=False):
            for _ in range(joiners):
                factories.contact(alice)
            campaigns = [factories.campaign(owner, ends_at=END + timedelta(days=9)) for owner in (alice, alice, bob)]
            for campaign in campaigns:
                campaign_advance(campaign.pk)
        for index, minutes, outcomes in sorted(steps, key=lambda step: step[1]):
            play(campaigns[index], BEGIN + timedelta(minutes=minutes), outcomes)
        with time_machine.travel(END, tick=False), timezone.override(zone):
            for user in (alice, bob, admin):
                agree(user, figures.reported(user))


def play(campaign: Campaign, moment: datetime, events: list[str]) -> None:
    """What happens at that moment: messages are sent and their outcomes recorded, and receipts come."""
    outcomes = [name for name in events if name in OUTCOMES]
    with time_machine.travel(moment, tick=False):
        token, (run,) = uuid4(), campaign.runs.select_related("campaign")
        leased = lease(run, token, len(outcomes), Route("probe")) if outcomes else []
        ended = zip(leased, outcomes, strict=False)
        done = [Done(message, Answer(200), OUTCOMES[name]) for message, name in ended]
        record(token, done, gateway="probe", idempotent=True)
        accepted = Message.objects.filter(run=run, status=MessageStatus.SENT).order_by("pk")
        told = [RECEIPTS[name] for name in events if name in RECEIPTS]
        receipts_take("probe", [Receipt(message.pk, good) for message, good in zip(accepted, told, strict=False)])
        receipts_apply()


def agree(user: User, campaigns: CampaignQuerySet) -> None:
    """All that the user is told, held against GROUP BY over the rows."""
    messages = Message.objects.filter(run__campaign__in=campaigns)
    rows = dict(messages.order_by().values_list("status").annotate(Count("pk")))
    by_status = {status: rows.get(status, 0) for status in MessageStatus.values}
    stats = ApiClient(user).get("/stats").json()
    assert figures.messages_by_status(user) == stats["messages"]["by_status"] == by_status
    tallies.count_due(lambda: False)
    reported(messages, browser(user).get("/reports/?period=own&first=2026-11-20&last=2026-11-24").context)
    for campaign in campaigns:
        told: Any = browser(user).get(f"/reports/campaigns/{campaign.pk}/").context
        reported(messages.filter(run__campaign=campaign), told)
        assert told["whole"].attempts == campaign_statistics(campaign).attempts
        assert told["whole"].parts == campaign_statistics(campaign).parts
    assert sum((Counter(item["by_status"]) for item in stats["items"]), Counter()) == Counter(rows)

    exported = {row["id"]: row for row in rows_of(user, "/reports/campaigns.csv")}
    for item in stats["items"]:
        row = exported.pop(str(item["id"]))
        assert {status: int(row[status]) for status in by_status} == item["by_status"]
        listed = rows_of(user, f"/reports/campaigns/{item['id']}/messages.csv")
        assert Counter(row["status"] for row in listed) == +Counter(item["by_status"])
    assert not exported

    days = {row.day: (row.sent, row.failed) for row in figures.by_day(user, 5)}
    in_file = {row["day"]: (int(row["accepted"]), int(row["failed"])) for row in rows_of(user, "/reports/days.csv")}
    for day, (sent, failed) in days.items():
        assert in_file.pop(day.isoformat()) == (sent, failed)
        ended = messages.annotate(day=TruncDate(Coalesce("ended_at", "changed_at"))).filter(day=day)
        told = section_of(user, day)
        assert (sent, failed) == (told.sent, told.failed)
        assert sent == ended.filter(status__in=ACCEPTED).count()
        assert failed == ended.filter(status=MessageStatus.FAILED).count()
        tries = Attempt.objects.filter(message__run__campaign__in=campaigns).annotate(day=TruncDate("at"))
        assert told.failed + told.retried == tries.filter(day=day).count()
        assert sum(line.sent for line in told.campaigns) == sent
        assert sum(reason.number for line in told.campaigns for reason in line.reasons) == failed
    assert sum(sent for sent, _failed in days.values()) == sum(by_status[status] for status in ACCEPTED)
    assert sum(failed for _sent, failed in days.values()) == by_status["failed"]


def reported(messages: MessageQuerySet, told: Any) -> None:
    """What a report shows is what the messages say, and each of its breakdowns adds up to the whole."""
    whole, ended = told["whole"], messages.exclude(status__in=OPEN).order_by()
    assert whole.total == ended.count()
    assert told["waiting"] == messages.filter(status__in=OPEN).count()
    for status in ENDED:
        assert getattr(whole, status) == ended.filter(status=status).count()
    assert whole.tries == Attempt.objects.filter(message__in=messages).count()
    for charts in filter(None, (told["by_day"], told["by_week"], told["by_hour"])):
        points = charts["wide"].points if charts["wide"] else []
        assert sum(point.good for point in points) == whole.accepted
        assert sum(point.bad for point in points) == whole.failed
    tables = {
        table["facet"]: [line for _label, line, _bar in table["first"] + table["rest"]] for table in told["facets"]
    }
    if whole.total:
        for facet in (Facet.OPERATOR, Facet.TIMEZONE, Facet.TAG):  # nobody here has more than one tag
            assert sum(line.total for line in tables[facet]) == whole.total
    reasons = tables.get(Facet.REASON, [])
    assert sum(line.total for line in reasons) == whole.total - whole.sent - whole.delivered
    assert sum(line.tries for line in reasons) == whole.tries


def rows_of(user: User, path: str) -> list[dict[str, str]]:
    """What a spreadsheet reads."""
    answer: Any = browser(user).get(path)
    content = b"".join(answer.streaming_content).decode("utf-8-sig")
    return list(csv.DictReader(StringIO(content)))


def section_of(user: User, day: date) -> Section:
    """What the user's report of that day tells of the campaigns that its pages tell of."""
    digest = digest_of(user, Rhythm.DAILY, day)
    return digest.everything or digest.own
