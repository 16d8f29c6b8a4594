"""`/imports` of the JSON API."""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from accounts.models import User
from directory.imports.models import Import
from directory.models import Contact
from tests.conftest import ApiClient
from tests.directory.imports.helpers import draft, workbook, worked

JSON = "application/json"
FILE = "Телефон,Имя,Город\n8 916 111-22-33,Anna,Омск\nnobody,Boris,\n89161112233,Anna,\n"


def upload(client: ApiClient, content: bytes | str = FILE, name: str = "people.csv", **headers: str) -> Any:
    raw = content.encode() if isinstance(content, str) else content
    return client.post("/imports", {"file": SimpleUploadedFile(name, raw)}, headers=headers)


def start(client: ApiClient, pk: int, **body: Any) -> Any:
    return client.post(f"/imports/{pk}/start", body, content_type=JSON)


def test_a_file_is_uploaded_checked_imported_and_undone(alice: User) -> None:
    client = ApiClient(alice)
    answer = upload(client)
    assert answer.status_code == 201, answer.content
    row = answer.json()
    assert (row["name"], row["status"], row["rows"]) == ("people.csv", "draft", None)
    assert [(column["name"], column["field"]) for column in row["columns"]] == [
        ("Телефон", "phone"),
        ("Имя", "first_name"),
        ("Город", "attributes.Город"),
    ]
    assert start(client, row["id"], dry_run=True).json() == {
        "rows": 3,
        "valid": 1,
        "duplicate": 1,
        "rejected": 1,
        "refusals": [{"row": 3, "reason": "Enter a phone number like +7 999 123-45-67."}],
    }
    assert not Contact.objects.exists()
    started = start(client, row["id"], mapping={"Город": "attributes.city"}, tags=["New"], policy="update")
    assert (started.status_code, started.json()["status"]) == (200, "running")
    assert start(client, row["id"]).status_code == 409
    worked(Import.objects.get())
    contact = Contact.objects.get()
    assert (contact.first_name, contact.attributes, [tag.name for tag in contact.tags.all()]) == (
        "Anna",
        {"city": "Омск"},
        ["new"],
    )
    done = client.get(f"/imports/{row['id']}").json()
    counts = done["counts"]
    assert (done["status"], counts["created"], counts["duplicate"], counts["rejected"]) == ("finished", 1, 1, 1)
    rejected = client.get(f"/imports/{row['id']}/rejected").json()
    assert [(each["row"], each["cells"]) for each in rejected["items"]] == [(3, ["nobody", "Boris", ""])]
    assert client.post(f"/imports/{row['id']}/undo").json()["status"] == "undoing"
    worked(Import.objects.get())
    assert not Contact.objects.exists()


def test_a_repeated_upload_is_executed_once(alice: User) -> None:
    client = ApiClient(alice)
    first, again = (upload(client, **{"Idempotency-Key": "one"}) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert (again.json(), again.headers["Idempotent-Replayed"]) == (first.json(), "true")
    assert Import.objects.count() == 1
    assert upload(client, "phone\n1\n", **{"Idempotency-Key": "one"}).status_code == 409


def test_a_workbook_is_read_by_a_worker(alice: User) -> None:
    client = ApiClient(alice)
    row = upload(client, workbook(["phone"], ["89161112233"]), "people.xlsx").json()
    assert (row["status"], row["columns"]) == ("reading", [])
    assert start(client, row["id"]).status_code == 409
    worked(Import.objects.get())
    path = f"/imports/{row['id']}"
    assert client.get(path).json()["status"] == "draft"
    assert client.patch(path, {"delimiter": ";"}, content_type=JSON).status_code == 422
    assert client.patch(path, {"has_header": False}, content_type=JSON).status_code == 200


def test_a_draft_is_read_in_another_way(alice: User) -> None:
    client = ApiClient(alice)
    row = draft(alice, "phone;name\n89161112233;Anna\n")
    changed = client.patch(f"/imports/{row.pk}", {"delimiter": ","}, content_type=JSON)
    assert [column["name"] for column in changed.json()["columns"]] == ["phone;name"]
    assert client.delete(f"/imports/{row.pk}").status_code == 204
    assert client.get(f"/imports/{row.pk}").status_code == 404


def test_users_see_their_own_imports_and_administrators_all(alice: User, bob: User, admin: User) -> None:
    row = draft(alice, FILE, "alice.csv")
    draft(bob, FILE, "bob.csv")
    names = [
        [item["name"] for item in ApiClient(user).get(f"/imports{query}").json()["items"]]
        for user, query in ((alice, ""), (admin, ""), (admin, "?q=bob"), (admin, "?status=running"))
    ]
    assert names == [["alice.csv"], ["bob.csv", "alice.csv"], ["bob.csv"], []]
    assert ApiClient(bob).get(f"/imports/{row.pk}/rejected").status_code == 403


def test_rejected_rows_come_in_pages(alice: User) -> None:
    row = draft(alice, "phone\n" + "x\n" * 3)
    client = ApiClient(alice)
    assert start(client, row.pk, mapping={"phone": "phone"}).status_code == 200
    worked(row)
    first = client.get(f"/imports/{row.pk}/rejected?limit=2").json()
    second = client.get(f"/imports/{row.pk}/rejected", {"cursor": first["next"]}).json()
    assert [[each["row"] for each in page["items"]] for page in (first, second)] == [[2, 3], [4]]
    assert client.get(f"/imports/{row.pk}/rejected?cursor=x").status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        {"mapping": {"nobody": "phone"}},
        {"mapping": {"Имя": "x"}},
        {"mapping": {"Имя": "attributes."}},
        {"mapping": {"Имя": "attributes.a b"}},
        {"mapping": {"Имя": "attributes.phone"}},
        {"mapping": {"Имя": "phone"}},
        {"mapping": {"Телефон": ""}},
        {"mapping": {"\0": "phone"}},
        {"mapping": []},
        {"policy": "replace"},
        {"tags": ["a,b"]},
        {"tags": ["\0"]},
        {"dry_run": "yes"},
        {"x": 1},
    ],
)
def test_strange_plans_are_refused(alice: User, body: dict[str, Any]) -> None:
    row = draft(alice, FILE)
    client = ApiClient(alice)
    assert start(client, row.pk, **body).status_code == 422
    assert start(client, row.pk, **{"dry_run": True, **body}).status_code == 422
    assert client.get(f"/imports/{row.pk}").json()["status"] == "draft"


@pytest.mark.parametrize("content", [b"", b" ", b"\xd0\xcf\x11\xe0", b"\n\n"])
def test_unreadable_files_are_refused(alice: User, content: bytes) -> None:
    answer = upload(ApiClient(alice), content)
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "file"])
    assert not Import.objects.exists()


@pytest.mark.parametrize("body", [b"", b"--x\r\nrubbish", b"--x\r\nContent-Disposition: form-data; name=file\r\n\r\nx"])
@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "multipart/form-data", "text/csv", JSON])
@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "one"}])
def test_unreadable_forms_are_refused(alice: User, body: bytes, kind: str, headers: dict[str, str]) -> None:
    client = ApiClient(alice)
    answer = client.generic("POST", "/imports", body, kind, headers=headers)
    assert answer.status_code in (400, 422), answer.content  # type: ignore[attr-defined]
    assert answer.json()["detail"]  # type: ignore[attr-defined]
