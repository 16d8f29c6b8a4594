"""Pages, API, e-mail and exports have the same figures as the messages, after any history."""

import csv
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from io import StringIO
from operator import itemgetter
from typing import Any
from uuid import uuid4

import time_machine
from django.db.models import Count, Q
from django.db.models.functions import Coalesce, TruncDate
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from accounts.models import User
from campaigns import services
from campaigns.gateways.protocol import Answer, Outcome, Receipt, Verdict
from campaigns.gateways.routing import Route
from campaigns.messages.receipts import apply_receipts, receipts_store
from campaigns.models import Attempt, Campaign, CampaignQuerySet, Message, MessageQuerySet
from campaigns.planning.lifecycle import campaign_advance
from campaigns.sending.lease import lease
from campaigns.sending.outcomes import Completed, record
from campaigns.states import ACCEPTED, CHARGED, ENDED, MARKED, OPEN, MessageStatus, Resolution
from campaigns.statistics import campaign_statistics
from directory.phones import country
from project.core.money import from_micros
from project.http.errors import Conflict
from reports.analytics import tallies
from reports.analytics.costs import COST_BREAKDOWNS
from reports.dashboard import figures
from reports.emails.digest import Section, digest_of
from reports.models import Facet, ReportFrequency
from tests import factories
from tests.campaigns.browser_client import browser
from tests.conftest import ApiClient

BEGIN = datetime(2026, 11, 21, 9, tzinfo=UTC)
END = datetime(2026, 11, 24, 9, tzinfo=UTC)
ZONES = ("Europe/Moscow", "Asia/Kamchatka", "America/Los_Angeles")
OUTCOMES = {
    "sent": Outcome(Verdict.SENT),
    "refused": Outcome(Verdict.REFUSED, "http_400"),
    "retry": Outcome(Verdict.RETRY, "timeout", uncertain=True),
    "unknown": Outcome(Verdict.RETRY, "lost", uncertain=True),
}
PRICES = {"RU": 2_500_000, "KZ": 333_333}
COUNTRIES = (79160000000, 77010000000, 375291234560)
"""The first phones of three countries; the last one has no price."""
GATEWAYS = ("probe", "probe", "second")
RECEIPTS = {"delivered": True, "undelivered": False}
BY_HAND: dict[str, Callable[..., Campaign]] = {
    "retry_failed": services.campaign_retry_failed,
    "mark_sent": partial(services.campaign_resolve, resolution=Resolution.SENT),
    "mark_failed": partial(services.campaign_resolve, resolution=Resolution.FAILED),
}
EVENTS = sorted({*OUTCOMES, *RECEIPTS, *BY_HAND})
LAST_ATTEMPT = Coalesce("message__ended_at", "message__changed_at")
STEPS = st.tuples(st.integers(0, 2), st.integers(0, 70 * 60), st.lists(st.sampled_from(EVENTS), max_size=4))


class TestAnyHistory(TestCase):
    """Three campaigns of two users; in each step some of their messages end in some way."""

    @given(
        steps=st.lists(STEPS, max_size=10, unique_by=itemgetter(1)),
        zone=st.sampled_from(ZONES),
        joiners=st.integers(0, 6),
    )
    @settings(max_examples=12, deadline=None)
    def test_all_figures_agree(self, steps: list[tuple[int, int, list[str]]], zone: str, joiners: int) -> None:
        alice, bob = (factories.user(f"{name}@example.org", timezone=zone) for name in ("alice", "bob"))
        admin = factories.user("admin@example.org", timezone=zone, is_staff=True)
        with time_machine.travel(BEGIN, tick=False):
            for number in range(joiners):
                factories.contact(alice, phone=COUNTRIES[number % len(COUNTRIES)] + number)
            campaigns = [factories.campaign(owner, ends_at=END + timedelta(days=9)) for owner in (alice, alice, bob)]
            for campaign in campaigns:
                campaign_advance(campaign.pk)
        for index, minutes, outcomes in sorted(steps, key=lambda step: step[1]):
            play(campaigns[index], GATEWAYS[index], BEGIN + timedelta(minutes=minutes), outcomes)
        with time_machine.travel(END, tick=False), timezone.override(zone):
            for user in (alice, bob, admin):
                assert_all_agree(user, figures.reported(user))


def play(campaign: Campaign, gateway: str, moment: datetime, events: list[str]) -> None:
    """Send messages by the gateway, record outcomes, and apply receipts at that moment."""
    outcomes = [name for name in events if name in OUTCOMES]
    with time_machine.travel(moment, tick=False):
        token, (run,) = uuid4(), campaign.runs.select_related("campaign")
        route = Route(gateway, price_of=lambda phone: PRICES.get(country(phone)))
        leased = lease({run.pk: len(outcomes)}, token, route) if outcomes else []
        ended = zip(leased, outcomes, strict=False)
        done = {name: Completed(message, Answer(200), OUTCOMES[name]) for message, name in ended}
        for name, each in done.items():
            record(token, [each], gateway=gateway, idempotent=name != "unknown")
        accepted = Message.objects.filter(run=run, status__in=(MessageStatus.SENT, MessageStatus.UNKNOWN)).order_by(
            "pk"
        )
        receipts = [RECEIPTS[name] for name in events if name in RECEIPTS]
        receipts_store(gateway, [Receipt(message.pk, good) for message, good in zip(accepted, receipts, strict=False)])
        apply_receipts()
        for name in (name for name in events if name in BY_HAND):
            with suppress(Conflict):
                BY_HAND[name](campaign=Campaign.objects.get(pk=campaign.pk), by=campaign.owner)
            campaign_advance(campaign.pk)


def assert_all_agree(user: User, campaigns: CampaignQuerySet) -> None:
    """Compare all figures that the user sees with a GROUP BY over the rows."""
    messages = Message.objects.filter(run__campaign__in=campaigns)
    rows = dict(messages.order_by().values_list("status").annotate(Count("pk")))
    by_status = {status: rows.get(status, 0) for status in MessageStatus.values}
    stats = ApiClient(user).get("/stats").json()
    assert figures.messages_by_status(user) == stats["messages"]["by_status"] == by_status
    tallies.count_due(lambda: False)
    period = "?period=own&first=2026-11-20&last=2026-11-24"
    report: Any = browser(user).get(f"/reports/{period}").context
    assert_report_agrees(messages, report)
    assert_costs_agree(user, messages, report, f"/reports/%s.csv{period}")
    assert stats["cost"] == amount(sum(costs_by("run", messages).values()))
    for campaign in campaigns:
        address = f"/reports/campaigns/{campaign.pk}/"
        shown: Any = browser(user).get(address).context
        assert_report_agrees(messages.filter(run__campaign=campaign), shown)
        assert_costs_agree(user, messages.filter(run__campaign=campaign), shown, f"{address}%s.csv")
        # An attempt whose acceptance was learned later counts as failed and as accepted.
        unmarked = Attempt.objects.exclude(message__reason=MARKED)
        doubted = unmarked.filter(message__run__campaign=campaign, message__status__in=ACCEPTED, at=LAST_ATTEMPT)
        assert shown["whole"].attempts - doubted.count() == campaign_statistics(campaign).attempts
        assert shown["whole"].parts == campaign_statistics(campaign).parts
    assert sum((Counter(item["by_status"]) for item in stats["items"]), Counter()) == Counter(rows)

    exported = {row["id"]: row for row in rows_of(user, "/reports/campaigns.csv")}
    for item in stats["items"]:
        row = exported.pop(str(item["id"]))
        assert {status: int(row[status]) for status in by_status} == item["by_status"]
        listed = rows_of(user, f"/reports/campaigns/{item['id']}/messages.csv")
        assert Counter(row["status"] for row in listed) == +Counter(item["by_status"])
        cost = sum(costs_by("run__campaign", messages.filter(run__campaign=item["id"])).values())
        assert item["cost"] == amount(cost)
        assert row["cost"] == (item["cost"] if cost else "")
        assert sum(Decimal(row["cost"] or 0) for row in listed) == from_micros(cost)
    assert not exported

    costs = costs_by("day", messages)
    days = {row.day: (row.sent, row.failed) for row in figures.by_day(user, 5)}
    in_file = {row["day"]: (int(row["accepted"]), int(row["failed"])) for row in rows_of(user, "/reports/days.csv")}
    for day, (sent, failed) in days.items():
        assert in_file.pop(day.isoformat()) == (sent, failed)
        ended = messages.annotate(day=TruncDate(Coalesce("ended_at", "changed_at"))).filter(day=day)
        shown = section_of(user, day)
        assert (sent, failed) == (shown.sent, shown.failed)
        assert shown.cost == sum(line.cost for line in shown.campaigns) == costs.pop(day, 0)
        assert sent == ended.filter(status__in=ACCEPTED).count()
        assert failed == ended.filter(status=MessageStatus.FAILED).count()
        tries = Attempt.objects.filter(message__run__campaign__in=campaigns).annotate(day=TruncDate("at"))
        unsettled = Q(message__status__in=(*ACCEPTED, MessageStatus.UNKNOWN)) & (Q(uncertain=True) | Q(at=LAST_ATTEMPT))
        settled = tries.filter(day=day).exclude(unsettled)
        assert settled.count() <= shown.failed + shown.retried <= tries.filter(day=day).count()
        assert sum(line.sent for line in shown.campaigns) == sent
        assert sum(reason.number for line in shown.campaigns for reason in line.reasons) == failed
    assert not costs
    assert sum(sent for sent, _failed in days.values()) == sum(by_status[status] for status in ACCEPTED)
    assert sum(failed for _sent, failed in days.values()) == by_status["failed"]


def assert_report_agrees(messages: MessageQuerySet, shown: Any) -> None:
    """Assert that a report equals the messages, and that each breakdown adds up to the total."""
    whole, ended = shown["whole"], messages.exclude(status__in=OPEN).order_by()
    assert whole.total == ended.count()
    assert shown["waiting"] == messages.filter(status__in=OPEN).count()
    for status in ENDED:
        assert getattr(whole, status) == ended.filter(status=status).count()
    assert whole.tries == Attempt.objects.filter(message__in=messages).count()
    for charts in filter(None, (shown["by_day"], shown["by_week"], shown["by_hour"])):
        points = charts["wide"].points if charts["wide"] else []
        assert sum(point.good for point in points) == whole.accepted
        assert sum(point.bad for point in points) == whole.failed
    tables = {
        table["facet"]: [line for _label, line, _bar in table["first"] + table["rest"]] for table in shown["facets"]
    }
    if whole.total:
        for facet in (Facet.OPERATOR, Facet.TIMEZONE, Facet.TAG):  # no contact here has more than one tag
            assert sum(line.total for line in tables[facet]) == whole.total
    reasons = tables.get(Facet.REASON, [])
    assert sum(line.total for line in reasons) == whole.total - whole.sent - whole.delivered
    assert sum(line.tries for line in reasons) == whole.tries


def assert_costs_agree(user: User, messages: MessageQuerySet, report: Any, files: str) -> None:
    """Assert that a report and its files have the prices of the messages that a gateway has or may have accepted."""
    for name, breakdown in COST_BREAKDOWNS.items():
        found = costs_by(breakdown.columns[0], messages)
        in_file = {row[breakdown.columns[0]]: row["cost"] for row in rows_of(user, files % name)}
        assert in_file == {str(value): amount(cost) for value, cost in found.items()}
        if report["costs"] is None:
            assert not found
            continue
        (table,) = (table for table in report["costs"]["tables"] if table["shown"] == breakdown)
        lines = {label: figures.cost for label, figures in table["first"] + table["rest"]}
        assert lines == {breakdown.words(value): cost for value, cost in found.items()}
        assert report["costs"]["total"].cost == sum(found.values())
    if report["costs"] and "campaigns" in report:
        shown = {row.pk: cost for row, _figures, _meter, cost in report["campaigns"] if cost is not None}
        assert shown == costs_by("run__campaign", messages)


def costs_by(key: str, messages: MessageQuerySet) -> Counter[Any]:
    """The prices of these messages that a gateway has or may have accepted, added up from the rows."""
    charged = messages.filter(status__in=CHARGED, cost__isnull=False).order_by()
    ended = charged.annotate(day=TruncDate(Coalesce("ended_at", "changed_at")))
    column = "phone" if key == "country" else key
    costs: Counter[Any] = Counter()
    for value, cost in ended.values_list(column, "cost"):
        costs[country(value) if key == "country" else value] += cost
    return costs


def amount(micros: int) -> str:
    """An amount as in files and JSON."""
    return str(from_micros(micros))


def rows_of(user: User, path: str) -> list[dict[str, str]]:
    """The rows of a CSV export."""
    answer: Any = browser(user).get(path)
    content = b"".join(answer.streaming_content).decode("utf-8-sig")
    return list(csv.DictReader(StringIO(content)))


def section_of(user: User, day: date) -> Section:
    """The section of the user's daily report for the campaigns on the user's pages."""
    digest = digest_of(user, ReportFrequency.DAILY, day)
    return digest.everything or digest.own
