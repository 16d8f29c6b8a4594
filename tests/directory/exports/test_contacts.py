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
from directory.exports import contacts, xlsx
from directory.exports.cells import escape_formula, unescape_formula
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
    """Contacts whose values could change in an export and import."""
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
        "escaped": "_x000D_ and _x0041_",
        "empty": "",
    }
    factories.contact(owner, first_name="Анна", last_name="О’Хара", attributes=attributes, tags=("=1+1", "b"))
    factories.contact(owner, tags=("semi;colon",), opted_out=True, timezone="Asia/Omsk")
    factories.contact(owner, tags=("@one",), attributes={"Phone": "x", "timezone": "y"})
    factories.contact(owner, is_active=False)
    factories.contact(owner, first_name="李", attributes={"text": '"; \t,'})


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_export_can_be_imported_without_changes(alice: User, site: Client, kind: str) -> None:
    a_directory(alice)
    before = list(Contact.objects.order_by("pk").values())
    done = run(alice, exported(site, kind, state="all"))
    assert (done.error, done.unchanged, done.done) == ("", len(before), len(before))
    assert list(Contact.objects.order_by("pk").values()) == before
    assert Contact.tags.through.objects.count() == 4


def test_export_recreates_an_empty_directory(alice: User, site: Client) -> None:
    a_directory(alice)
    content = exported(site, "csv", state="all")
    fields = ("phone", "first_name", "last_name", "timezone", "opted_out", "is_active")
    before = list(Contact.objects.order_by("phone").values_list(*fields))
    Contact.objects.all().delete()
    assert run(alice, content).created == len(before)
    assert list(Contact.objects.order_by("phone").values_list(*fields)) == before


def test_formula_like_cells_are_escaped_and_phones_stay_numbers(alice: User, site: Client) -> None:
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
def test_escaping_is_reversible(text: str) -> None:
    assert unescape_formula(escape_formula(text)) == text
    assert not escape_formula(text).startswith(("=", "+", "-", "@", "\t", "\r"))


def test_export_has_all_pages_of_the_list(alice: User, site: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contacts, "BATCH", 3)
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


def test_excess_rows_continue_on_another_sheet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx, "MAX_ROWS", 2)
    content = b"".join(xlsx.workbook("Numbers", ["n"], [[n] for n in range(5)]))
    found = openpyxl.load_workbook(BytesIO(content))
    assert found.sheetnames == ["Numbers", "Numbers 2", "Numbers 3"]
    assert [[cell.value for cell in sheet["A"]] for sheet in found.worksheets] == [["n", 0, 1], ["n", 2, 3], ["n", 4]]


def test_a_workbook_keeps_texts_and_numbers_apart() -> None:
    content = b"".join(xlsx.workbook("Mixed", ["a", "b"], [["007", 7], ["<&>\0 x", -1.5], ["=1+1", 0], ["", ""]]))
    rows = openpyxl.load_workbook(BytesIO(content)).worksheets[0].iter_rows(values_only=True)
    assert list(rows) == [("a", "b"), ("007", 7), ("<&> x", -1.5), ("=1+1", 0)]


def test_export_requires_sign_in(client: Client, db: None) -> None:
    assert client.get("/contacts/export.csv")["Location"].startswith("/accounts/login/")
    assert client.get("/contacts/export.pdf").status_code == 404


def test_export_is_streamed(alice: User, site: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contacts, "BATCH", 1)
    for _ in range(3):
        factories.contact(alice)
    with CaptureQueriesContext(connection) as captured:
        response: Any = site.get("/contacts/export.csv")
        stream = iter(response.streaming_content)
        assert next(stream).decode("utf-8-sig").startswith("phone,")
        before = len(captured)
        list(stream)
    assert len(captured) - before >= 6


@pytest.mark.parametrize("query", ["tags=vip", "owner=abc", "state=gone", "added_from=soon", "tag=vip&x=1"])
def test_invalid_filter_exports_nothing(site: Client, query: str) -> None:
    for kind in ("csv", "xlsx"):
        assert site.get(f"/contacts/export.{kind}?{query}").status_code == 400


@pytest.mark.parametrize(
    "text", ["＝1+1", "＋1", "－1", "＠SUM(A1)", "﹦1", "﹢1", "﹣1", "﹫a", "⁼1", "₊1", "\n=1", "'＝1"]
)
def test_variants_of_formula_characters_are_escaped(text: str) -> None:
    assert escape_formula(text) == f"'{text}"
    assert unescape_formula(escape_formula(text)) == text
