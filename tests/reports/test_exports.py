"""Exports of figures and messages."""

import re
from datetime import datetime, time
from io import BytesIO
from typing import Any

import openpyxl
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from campaigns.models import Message
from campaigns.services import campaign_delete
from campaigns.states import MessageStatus
from reports import exports
from reports.analytics import tallies
from tests.campaigns.browser_client import browser
from tests.campaigns.outcomes import settle, spend, started


def content(user: User, path: str) -> bytes:
    answer: Any = browser(user).get(path)
    assert answer.status_code == 200
    assert answer["Content-Disposition"].endswith(f'{path[-4:].strip(".")}"')
    return b"".join(answer.streaming_content)


def test_visitors_must_sign_in(db: None) -> None:
    for path in ("/reports/campaigns.csv", "/reports/days.xlsx", "/reports/campaigns/1/messages.csv"):
        assert Client().get(path)["Location"].startswith("/accounts/login/")


def test_other_users_campaigns_are_not_exported(alice: User, bob: User, admin: User) -> None:
    campaign, run = started(alice, contacts=1, name="Autumn")
    settle(run, 1, MessageStatus.SENT)
    path = f"/reports/campaigns/{campaign.pk}/messages.csv"
    assert browser(bob).get(path).status_code == 404
    assert b"Autumn" not in content(bob, "/reports/campaigns.csv")
    assert b"79990001122,sent" in content(admin, path)
    assert b"Autumn" in content(admin, "/reports/campaigns.csv")
    campaign_delete(campaign=campaign, by=alice)
    assert browser(alice).get(path).status_code == 404


def _cell(value: Any) -> str:
    """A workbook's value as in the CSV, except for the UTC offset, which spreadsheets don't support."""
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(timespec="seconds")
    return "" if value is None else str(value)


@pytest.mark.parametrize(
    ("path", "title", "dates"),
    [
        ("campaigns", "Campaigns", ["starts_at", "ends_at"]),
        ("days", "Days", ["day"]),
        ("hours", "Hours", []),
        ("campaigns/{pk}/messages", "Messages", ["run", "due_at", "changed_at"]),
    ],
)
def test_a_workbook_has_its_own_title_and_real_dates(alice: User, path: str, title: str, dates: list[str]) -> None:
    campaign, _run = started(alice, contacts=1)
    content_ = content(alice, f"/reports/{path.format(pk=campaign.pk)}.xlsx")
    sheet = openpyxl.load_workbook(BytesIO(content_)).active
    rows = list(sheet.iter_rows(values_only=True))
    assert sheet.title == title
    assert [name for name, cell in zip(*rows[:2], strict=True) if isinstance(cell, datetime)] == dates


def test_a_workbook_has_the_same_contents(alice: User) -> None:
    campaign, run = started(alice, contacts=3, name="=1+1")
    settle(run, 2, MessageStatus.FAILED, "http_400")
    for path, rows in (("campaigns", 1), ("days", 30), (f"campaigns/{campaign.pk}/messages", 3)):
        sheet = openpyxl.load_workbook(BytesIO(content(alice, f"/reports/{path}.xlsx"))).active
        lines = content(alice, f"/reports/{path}.csv").decode("utf-8-sig").splitlines()
        assert len(lines) == rows + 1
        table = [[_cell(cell) for cell in row] for row in sheet.iter_rows(values_only=True)]
        assert table == [[re.sub(r"(\.[0-9]+)?\+03:00$", "", cell) for cell in line.split(",")] for line in lines]
    assert b",'=1+1," in content(alice, "/reports/campaigns.csv")


def test_countries_are_exported_by_code(alice: User) -> None:
    _campaign, run = started(alice, contacts=1)
    settle(run, 1, MessageStatus.SENT)
    tallies.count_due(lambda: False)
    header, line = content(alice, "/reports/countries.csv").decode("utf-8-sig").splitlines()
    assert header.startswith("country,messages,accepted,")
    assert line.startswith("RU,1,1,")


def test_a_pending_message_has_its_contacts_phone(alice: User) -> None:
    campaign, run = started(alice, contacts=1)
    phone = run.messages.select_related("contact").get().recipient
    assert f",{phone},pending,".encode() in content(alice, f"/reports/campaigns/{campaign.pk}/messages.csv")


def test_files_have_exact_costs_of_what_a_gateway_may_charge_for(alice: User) -> None:
    campaign, run = started(alice, contacts=4)
    Message.objects.filter(run=run).update(cost=12_500, gateway="probe", sender="Shop")
    settle(run, 1, MessageStatus.DELIVERED)
    settle(run, 1, MessageStatus.UNKNOWN)
    settle(run, 1, MessageStatus.FAILED, "http_400")
    spend(run, "0.0125", 2)
    address = f"/reports/campaigns/{campaign.pk}/messages"
    lines = content(alice, f"{address}.csv").decode().splitlines()
    assert [line.split(",")[-3:] for line in lines[1:]] == [["probe", "0.0125", "Shop"]] * 2 + [
        ["probe", "", "Shop"]
    ] * 2
    sheet = openpyxl.load_workbook(BytesIO(content(alice, f"{address}.xlsx"))).active
    assert [row[-2] for row in sheet.iter_rows(values_only=True)] == ["cost", 0.0125, 0.0125, None, None]
    header, campaign_line = content(alice, "/reports/campaigns.csv").decode().splitlines()
    assert (header.split(",")[-1], campaign_line.split(",")[-1]) == ("cost", "0.025")
    _other, _run = started(alice)
    assert content(alice, "/reports/campaigns.csv").decode().splitlines()[1].endswith(",0,")


def test_long_files_are_read_page_by_page(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "_BATCH", 2)
    campaign, run = started(alice, contacts=5)
    answer: Any = browser(alice).get(f"/reports/campaigns/{campaign.pk}/messages.csv")
    with CaptureQueriesContext(connection) as queries:
        lines = b"".join(answer.streaming_content).decode().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == [str(pk) for pk in run.messages.values_list("pk", flat=True)]
    assert sum("LIMIT 2" in query["sql"] for query in queries) == 4


@pytest.mark.parametrize("path", ["x.csv", "days.pdf", "campaigns/0/messages.csv", f"campaigns/{9**18}/messages.csv"])
def test_garbage_in_an_address_is_not_found(alice: User, path: str) -> None:
    assert browser(alice).get(f"/reports/{path}").status_code == 404


@pytest.mark.parametrize("what", ["campaigns", "days"])
@pytest.mark.parametrize("query", ["perod=today", "period=own", "period=own&first=x&last=2026-01-01"])
def test_an_invalid_period_is_refused(alice: User, what: str, query: str) -> None:
    assert browser(alice).get(f"/reports/{what}.csv?{query}").status_code == 400
