"""Files of figures and messages."""

from io import BytesIO
from typing import Any

import openpyxl
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from campaigns.services import campaign_delete
from campaigns.states import MessageStatus
from reports import exports
from tests.campaigns.outcomes import settle, started
from tests.campaigns.pages import browser


def content(user: User, path: str) -> bytes:
    answer: Any = browser(user).get(path)
    assert answer.status_code == 200
    assert answer["Content-Disposition"].endswith(f'{path[-4:].strip(".")}"')
    return b"".join(answer.streaming_content)


def test_strangers_are_asked_to_sign_in(db: None) -> None:
    for path in ("/reports/campaigns.csv", "/reports/days.xlsx", "/reports/campaigns/1/messages.csv"):
        assert Client().get(path)["Location"].startswith("/accounts/login/")


def test_others_campaigns_are_in_no_file(alice: User, bob: User, admin: User) -> None:
    campaign, run = started(alice, contacts=1, name="Autumn")
    settle(run, 1, MessageStatus.SENT)
    path = f"/reports/campaigns/{campaign.pk}/messages.csv"
    assert browser(bob).get(path).status_code == 404
    assert b"Autumn" not in content(bob, "/reports/campaigns.csv")
    assert b"79990001122,sent" in content(admin, path)
    assert b"Autumn" in content(admin, "/reports/campaigns.csv")
    campaign_delete(campaign=campaign, by=alice)
    assert browser(alice).get(path).status_code == 404


def test_a_workbook_says_the_same(alice: User) -> None:
    campaign, run = started(alice, contacts=3, name="=1+1")
    settle(run, 2, MessageStatus.FAILED, "http_400")
    for path, rows in (("campaigns", 1), ("days", 30), (f"campaigns/{campaign.pk}/messages", 3)):
        sheet = openpyxl.load_workbook(BytesIO(content(alice, f"/reports/{path}.xlsx"))).active
        lines = content(alice, f"/reports/{path}.csv").decode("utf-8-sig").splitlines()
        assert len(lines) == rows + 1
        table = [[str("" if cell is None else cell) for cell in row] for row in sheet.iter_rows(values_only=True)]
        assert table == [line.split(",") for line in lines]
    assert b",'=1+1," in content(alice, "/reports/campaigns.csv")


def test_a_message_that_waits_has_its_contacts_phone(alice: User) -> None:
    campaign, run = started(alice, contacts=1)
    phone = run.messages.select_related("contact").get().recipient
    assert f",{phone},pending,".encode() in content(alice, f"/reports/campaigns/{campaign.pk}/messages.csv")


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
