import re
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts.models import User
from directory.contacts.upsert import Policy
from directory.imports import services
from directory.imports.models import Import, ImportStatus
from directory.models import Contact
from tests.directory.imports.helpers import draft, run, workbook, worked

LIST = "/contacts/imports/"
HTMX = {"HX-Request": "true"}
FILE = "phone;Имя;город\n+7 999 123-45-67;Анна;Омск\n12;=1+1;\n"


@pytest.fixture
def site(alice: User) -> Client:
    client = Client()
    client.force_login(alice)
    return client


def page_of(row: Import) -> str:
    return f"{LIST}{row.pk}/"


def upload(site: Client, content: bytes, **headers: Any) -> Any:
    return site.post(LIST, {"file": SimpleUploadedFile("люди.csv", content)}, headers=headers)


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", str(response.content.decode()))


def test_file_is_uploaded_previewed_and_started(site: Client) -> None:
    answer = upload(site, FILE.encode("cp1251"))
    row = Import.objects.get()
    assert answer["Location"] == page_of(row)
    page = text_of(site.get(page_of(row)))
    assert "Windows-1251" in page
    assert "Анна" in page
    data = {"column_0": "phone", "column_1": "last_name", "column_2": "", "policy": "update", "tags": "a, b"}
    assert site.post(page_of(row), data)["Location"] == page_of(row)
    assert worked(row).created == 1
    contact = Contact.objects.get()
    assert (contact.last_name, contact.attributes, contact.tags.count()) == ("Анна", {}, 2)
    page = text_of(site.get(page_of(row)))
    assert "Enter a phone number" in page
    assert "hx-get" not in page.partition('id="progress"')[2].partition(">")[0]


def test_workbook_page_reloads_after_conversion(site: Client, alice: User) -> None:
    row = draft(alice, workbook(["phone"], ["79990000000"]), "people.xlsx")
    answer = site.get(f"{page_of(row)}?seen=reading", headers={**HTMX, "HX-Target": "progress"})
    assert answer.headers["HX-Refresh"] == "true"


def test_the_bar_is_drawn_in_every_language(site: Client, alice: User) -> None:
    alice.language = "ru"
    alice.save()
    row = run(alice, "phone\n79990000000\n79990000001\n12\n")
    bar = re.findall(r'class="(\w+)" x="(\d+)" y="0" width="(\d+)"', text_of(site.get(page_of(row))))
    assert ("good", "0", "666") in bar
    assert ("bad", "666", "334") in bar


def test_invalid_file_shows_a_field_error(site: Client) -> None:
    for headers, part in (({}, "<html"), (HTMX, 'id="upload"')):
        answer = upload(site, b"", **headers)
        assert answer.status_code == 422
        assert "The file is empty." in text_of(answer)
        assert part in text_of(answer)
    assert site.post(LIST).status_code == 422
    assert not Import.objects.exists()
    assert upload(site, FILE.encode(), **HTMX)["HX-Redirect"] == page_of(Import.objects.get())


def test_too_large_upload_is_refused_before_storing(site: Client, settings: LazySettings) -> None:
    settings.UPLOAD_MAX_SIZE = 1000
    assert upload(site, b"x" * 2000).status_code == 400
    assert upload(site, FILE.encode()).status_code == 302


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"column_0": ""}, "the column that contains the phone number"),
        ({"column_1": "phone"}, "can’t be read as the same field"),
        ({"column_1": "nonsense"}, "nonsense"),
        ({"policy": "replace"}, "replace"),
        ({"tags": "x" * 60}, "at most 50 characters"),
    ],
    ids=str,
)
def test_invalid_mapping_is_reported_and_nothing_starts(
    site: Client, alice: User, data: dict[str, str], reason: str
) -> None:
    row = draft(alice, FILE)
    answer = site.post(page_of(row), {"column_0": "phone", "policy": "update", **data})
    assert answer.status_code == 422
    assert reason in text_of(answer)
    row.refresh_from_db()
    assert row.status == ImportStatus.DRAFT


def test_format_of_a_draft_can_be_changed(site: Client, alice: User) -> None:
    row = draft(alice, FILE.encode("cp1251"))
    look = f"{page_of(row)}look/"
    data = {"encoding": "koi8-r", "delimiter": ";", "has_header": "on"}
    assert "хЛЪ" in text_of(site.post(look, data, headers=HTMX))
    data = {"encoding": "cp1251", "delimiter": ";"}
    assert "Column 2" in text_of(site.post(look, data, headers=HTMX))
    assert site.post(look, data)["Location"] == page_of(row)
    assert site.post(look, {"encoding": "rot13", "delimiter": ";"}).status_code == 422
    book = draft(alice, workbook(["phone", "Имя"], ["79991234567", "Анна"]))
    assert "Column 1" in text_of(site.post(f"{page_of(book)}look/", {}, headers=HTMX))


def test_page_polls_only_while_the_import_runs(site: Client, alice: User) -> None:
    row = draft(alice, FILE)
    services.import_start(row=row, by=alice, mapping=row.mapping, policy=Policy.UPDATE, tags=[])
    progress = {**HTMX, "HX-Target": "progress"}
    assert "every 2s" in text_of(site.get(page_of(row)))
    assert "every 2s" in text_of(site.get(page_of(row), {"seen": "running"}, headers=progress))
    worked(row)
    assert site.get(page_of(row), {"seen": "running"}, headers=progress)["HX-Refresh"] == "true"


def test_rejected_rows_can_be_fixed_and_imported(site: Client, alice: User) -> None:
    done = run(alice, FILE)
    response: Any = site.get(f"{page_of(done)}rows.csv")
    content = b"".join(response.streaming_content).decode("utf-8-sig")
    assert content.splitlines() == [
        "phone,Имя,город,row,reason",
        "12,'=1+1,,3,Phone: Enter a phone number like +7 999 123-45-67.",
    ]
    again = run(alice, content.replace("12,'=1+1", "79991234568,Анна"))
    assert (again.created, again.rejected) == (1, 0)
    assert Contact.objects.get(phone=79991234568).attributes == {}


def test_stop_undo_and_discard(site: Client, alice: User) -> None:
    row = draft(alice, FILE)
    assert site.post(f"{page_of(row)}nonsense/").status_code == 404
    assert "The status of this import has changed" in text_of(site.post(f"{page_of(row)}stop/", follow=True))
    assert site.post(f"{page_of(row)}discard/")["Location"] == LIST
    done = run(alice, FILE)
    assert "is being undone" in text_of(site.post(f"{page_of(done)}undo/", follow=True))
    worked(done)
    page = text_of(site.get(page_of(done)))
    assert "1 contact deleted" in page
    assert "Undo…" not in page
    assert "nothing to undo" in text_of(site.post(f"{page_of(done)}undo/", follow=True))


def test_imports_are_their_owners_and_the_administrators(bob: User, admin: User, alice: User) -> None:
    row = draft(alice, FILE)
    for user, status in ((bob, 403), (admin, 200)):
        client = Client()
        client.force_login(user)
        assert (page_of(row) in text_of(client.get(LIST))) == (status == 200)
        assert client.get(page_of(row)).status_code == status
        assert client.get(f"{page_of(row)}rows.csv").status_code == status
        assert client.post(f"{page_of(row)}discard/").status_code in (status, 302)
        assert Import.objects.exists() == (status == 403)
    assert Client().get(LIST)["Location"].startswith("/accounts/login/")


@pytest.mark.parametrize("query", ["cursor=x", "cursor=-1", f"cursor={'9' * 30}", "after=x", f"after={'9' * 30}"])
def test_invalid_query_parameters_are_ignored(site: Client, alice: User, query: str) -> None:
    done = run(alice, FILE)
    assert site.get(f"{LIST}?{query}").status_code == 200
    assert site.get(f"{page_of(done)}?{query}").status_code == 200


def test_long_lists_of_rows_have_pages(site: Client, alice: User) -> None:
    done = run(alice, "phone\n" + "12\n" * 60)
    first = text_of(site.get(page_of(done)))
    assert "after=51#not-imported" in first
    assert "Next rows" not in text_of(site.get(page_of(done), {"after": "51"}))
