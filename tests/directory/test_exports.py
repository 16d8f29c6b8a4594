import csv
from io import BytesIO, StringIO
from typing import Any

import openpyxl
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import User
from directory import exports, sheets
from directory.cells import defused, restored
from directory.models import Contact
from tests import factories
from tests.directory.imports.helpers import run

NASTY = '=HYPERLINK("http://example.org")'


@pytest.fixture
def site(alice: User) -> Client:
    client = Client()
    client.force_login(alice)
    return client


def exported(site: Client, kind: str, **filters: str) -> bytes:
    response: Any = site.get(f"/contacts/export.{kind}", filters)
    assert response.status_code == 200
    assert f"contacts.{kind}" in response["Content-Disposition"]
    return b"".join(response.streaming_content)


def lines(content: bytes) -> list[list[str]]:
    assert content.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(StringIO(content.decode("utf-8-sig"), newline="")))


def a_directory(owner: User) -> None:
    """Whatever may make a difference on the way out and in again."""
    attributes = {
        "points": 12,
        "share": 0.1,
        "debt": -5,
        "gold": True,
        "name": "clashes with a field",
        "город": " с  пробелами\r\nи строкой ",
        "formula": NASTY,
        "quoted": "'=1",
        "minus": "-1",
        "empty": "",
    }
    factories.contact(owner, first_name="Анна", last_name="О’Хара", attributes=attributes, tags=("=1+1", "b"))
    factories.contact(owner, tags=("semi;colon",), opted_out=True, timezone="Asia/Omsk")
    factories.contact(owner, tags=("@one",), attributes={"Phone": "x", "timezone": "y"})
    factories.contact(owner, is_active=False)
    factories.contact(owner, first_name="李", attributes={"text": '"; \t,'})


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_what_is_exported_is_imported_again_without_a_change(alice: User, site: Client, kind: str) -> None:
    a_directory(alice)
    before = list(Contact.objects.order_by("pk").values())
    done = run(alice, exported(site, kind, state="all"))
    assert (done.error, done.unchanged, done.done) == ("", len(before), len(before))
    assert list(Contact.objects.order_by("pk").values()) == before
    assert Contact.tags.through.objects.count() == 4


def test_an_export_into_an_empty_directory_makes_it_anew(alice: User, site: Client) -> None:
    a_directory(alice)
    content = exported(site, "csv", state="all")
    fields = ("phone", "first_name", "last_name", "timezone", "opted_out", "is_active")
    before = list(Contact.objects.order_by("phone").values_list(*fields))
    Contact.objects.all().delete()
    assert run(alice, content).created == len(before)
    assert list(Contact.objects.order_by("phone").values_list(*fields)) == before


def test_cells_like_formulas_are_defused_and_phones_stay_numbers(alice: User, site: Client) -> None:
    a_directory(alice)
    rows = lines(exported(site, "csv", state="all"))
    cells = [cell for row in rows for cell in row]
    assert [
        cell for cell in cells if cell[:1] in ("=", "+", "@", "\t", "\r") or (cell[:1] == "-" and cell != "-5")
    ] == []
    assert all(row[0].isdigit() for row in rows[1:])
    sheet = openpyxl.load_workbook(BytesIO(exported(site, "xlsx", state="all"))).worksheets[0]
    assert all(isinstance(row[0].value, int) for row in sheet.iter_rows(min_row=2))
    assert all(cell.data_type != "f" for row in sheet.iter_rows() for cell in row)


@given(st.text(max_size=5) | st.from_regex(r"\A'{0,2}[=+\-@\t\r].?\Z"))
def test_defusing_can_be_taken_back(text: str) -> None:
    assert restored(defused(text)) == text
    assert not defused(text).startswith(("=", "+", "-", "@", "\t", "\r"))


def test_it_holds_what_the_list_shows_all_pages_of_it(
    alice: User, site: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "BATCH", 3)
    for number in range(10):
        factories.contact(alice, tags=("vip", "new") if number % 2 else (), last_name=f"{'Ая'[number % 2]}нов")
    site.get("/contacts/")  # the first request of a session notes it
    with CaptureQueriesContext(connection) as captured:
        rows = lines(exported(site, "csv", tag="vip"))
    assert [row[3] for row in rows[1:]] == ["new, vip"] * 5
    assert len(captured) <= 14
    assert len(lines(exported(site, "csv"))) == 11
    assert len(lines(exported(site, "csv", q="Янов"))) == 6
    assert lines(exported(site, "csv", q="nobody"))[1:] == []


def test_rows_that_a_sheet_can_not_hold_go_on_in_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "MOST_ROWS", 2)
    content = b"".join(sheets.workbook(["n"], [[n] for n in range(5)]))
    found = openpyxl.load_workbook(BytesIO(content))
    assert [[cell.value for cell in sheet["A"]] for sheet in found.worksheets] == [["n", 0, 1], ["n", 2, 3], ["n", 4]]


def test_a_workbook_keeps_texts_and_numbers_apart() -> None:
    content = b"".join(sheets.workbook(["a", "b"], [["007", 7], ["<&>\0 x", -1.5], ["", ""]]))
    rows = openpyxl.load_workbook(BytesIO(content)).worksheets[0].iter_rows(values_only=True)
    assert list(rows) == [("a", "b"), ("007", 7), ("<&> x", -1.5), (None, None)]


def test_only_who_is_signed_in_exports(client: Client, db: None) -> None:
    assert client.get("/contacts/export.csv")["Location"].startswith("/accounts/login/")
    assert client.get("/contacts/export.pdf").status_code == 404


def test_the_first_lines_leave_before_the_last_are_read(
    alice: User, site: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "BATCH", 1)
    for _ in range(3):
        factories.contact(alice)
    with CaptureQueriesContext(connection) as captured:
        response: Any = site.get("/contacts/export.csv")
        stream = iter(response.streaming_content)
        assert next(stream).decode("utf-8-sig").startswith("phone,")
        before = len(captured)
        list(stream)
    assert len(captured) - before >= 6
