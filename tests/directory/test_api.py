import json
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from accounts.optimistic_locking import version_of
from directory.models import Contact
from tests import factories
from tests.conftest import ApiClient

PHONE = "+7 (999) 123-45-67"


def post(client: ApiClient, **body: Any) -> Any:
    return client.post("/contacts", body, content_type="application/json")


def patch(client: ApiClient, contact: Contact, **body: Any) -> Any:
    return client.patch(f"/contacts/{contact.pk}", body, content_type="application/json")


def ids(answer: Any) -> list[int]:
    assert answer.status_code == 200, answer.content
    return [item["id"] for item in answer.json()["items"]]


def test_contact_is_added_and_read_in_the_documented_format(alice: User) -> None:
    answer = post(
        ApiClient(alice),
        phone=PHONE,
        first_name="Анна",
        last_name="Ким",
        tags=["VIP", "new"],
        timezone="Asia/Omsk",
        attributes={"points": 12, "gold": True, "city": "Омск"},
        opted_out=False,
    )
    assert answer.status_code == 201, answer.content
    body = answer.json()
    row = Contact.objects.get()
    assert {name: body[name] for name in body if not name.endswith("_at")} == {
        "id": row.pk,
        "phone": "79991234567",
        "country": "RU",
        "operator_code": "999",
        "line_type": "mobile",
        "first_name": "Анна",
        "last_name": "Ким",
        "tags": ["new", "vip"],
        "timezone": "Asia/Omsk",
        "attributes": {"points": 12, "gold": True, "city": "Омск"},
        "is_active": True,
        "opted_out": False,
        "owner": alice.pk,
        "version": version_of(row),
    }
    assert body["created_at"].endswith(("Z", "+00:00"))
    assert ApiClient(alice).get(f"/contacts/{row.pk}").json() == body


def test_phone_may_be_a_number_and_other_fields_omitted(alice: User) -> None:
    answer = post(ApiClient(alice), phone=79991234567)
    assert answer.status_code == 201
    assert answer.json()["timezone"] == "Europe/Moscow"


def test_a_duplicate_is_a_conflict(alice: User, bob: User) -> None:
    post(ApiClient(alice), phone=PHONE)
    answer = post(ApiClient(bob), phone="89991234567")
    assert answer.status_code == 409
    assert "exists" in answer.json()["detail"]


def test_everyone_reads_and_only_owner_and_administrators_change(alice: User, bob: User, admin: User) -> None:
    contact = factories.contact(alice)
    assert ids(ApiClient(bob).get("/contacts")) == [contact.pk]
    assert ApiClient(bob).get(f"/contacts/{contact.pk}").status_code == 200
    assert patch(ApiClient(bob), contact, first_name="Bob").status_code == 403
    assert ApiClient(bob).delete(f"/contacts/{contact.pk}").status_code == 403
    assert patch(ApiClient(alice), contact, first_name="Alice").json()["first_name"] == "Alice"
    assert patch(ApiClient(admin), contact, first_name="Anna").json()["first_name"] == "Anna"


def test_requests_without_token_are_refused(alice: User) -> None:
    contact = factories.contact(alice)
    for answer in (
        ApiClient().get("/contacts"),
        post(ApiClient(), phone=PHONE),
        ApiClient().get(f"/contacts/{contact.pk}"),
        patch(ApiClient(), contact, first_name="X"),
        ApiClient().delete(f"/contacts/{contact.pk}"),
    ):
        assert answer.status_code == 401


def test_a_patch_changes_what_it_names(alice: User) -> None:
    contact = factories.contact(alice, tags=("a",), first_name="Ivan", attributes={"x": 1}, timezone="Asia/Omsk")
    body = patch(ApiClient(alice), contact, tags=["B"], opted_out=True).json()
    assert (body["first_name"], body["timezone"], body["attributes"]) == ("Ivan", "Asia/Omsk", {"x": 1})
    assert (body["tags"], body["opted_out"]) == (["b"], True)
    assert patch(ApiClient(alice), contact, phone=PHONE, operator_code="903").status_code == 422
    assert patch(ApiClient(alice), contact, country="KZ").status_code == 422
    assert patch(ApiClient(alice), contact, country="RU").status_code == 200


def test_delete_deactivates_and_patch_reactivates(alice: User) -> None:
    contact = factories.contact(alice)
    client = ApiClient(alice)
    for _again in range(2):
        assert client.delete(f"/contacts/{contact.pk}").status_code == 204
    assert client.get(f"/contacts/{contact.pk}").json()["is_active"] is False
    assert patch(client, contact, is_active=True).json()["is_active"] is True


def test_filters_narrow_the_list(alice: User) -> None:
    anna = factories.contact(alice, phone=79031110001, first_name="Анна", tags=("vip",), timezone="Asia/Omsk").pk
    boris = factories.contact(alice, phone=79051110002, first_name="Борис", is_active=False, opted_out=True).pk
    client = ApiClient(alice)
    for query, expected in [
        ({}, [boris, anna]),
        ({"phone": "8 903 111-00-01"}, [anna]),
        ({"operator_code": "905"}, [boris]),
        ({"tag": "VIP"}, [anna]),
        ({"timezone": "Asia/Omsk"}, [anna]),
        ({"country": "RU"}, [boris, anna]),
        ({"country": "KZ"}, []),
        ({"q": "анн"}, [anna]),
        ({"q": "905"}, [boris]),
        ({"is_active": "false"}, [boris]),
        ({"opted_out": "false"}, [anna]),
        ({"is_active": "true", "tag": "vip", "operator_code": "903"}, [anna]),
        ({"tag": "none"}, []),
    ]:
        assert ids(client.get("/contacts", query)) == expected, query


def test_pages_follow_each_other_without_gap_or_repeat_while_contacts_are_added(alice: User) -> None:
    there = [factories.contact(alice).pk for _ in range(7)]
    client, seen, cursor = ApiClient(alice), list[int](), None
    while True:
        answer = client.get("/contacts", {"limit": 3} | ({"cursor": cursor} if cursor else {}))
        seen += ids(answer)
        cursor = answer.json()["next"]
        if cursor is None:
            break
        factories.contact(alice)
    assert seen == there[::-1]


def test_queries_of_a_page_are_constant(alice: User) -> None:
    client = ApiClient(alice)
    counts = []
    for _ in range(3):
        for _ in range(5):
            factories.contact(alice, tags=("a", "b", "c"))
        with CaptureQueriesContext(
            connection,
        ) as queries:
            client.get("/contacts")
        counts.append(len(queries))
    assert counts[1] == counts[2] <= 4


HUGE = "9" * 5000
STRANGE: list[Any] = [
    None,
    "",
    " ",
    "\0",
    "\ud800",
    "x" * 100_000,
    HUGE,
    0,
    -1,
    2**63,
    2**64,
    1.5,
    1e308,
    True,
    [],
    {},
    [[]],
    {"a": {}},
]
FIELDS = [
    "phone",
    "operator_code",
    "country",
    "line_type",
    "first_name",
    "last_name",
    "tags",
    "timezone",
    "attributes",
    "opted_out",
    "is_active",
    "owner",
    "id",
    "no_such_field",
    "",
    "\ud800",
]


@pytest.mark.parametrize("field", FIELDS, ids=ascii)
def test_any_field_value_is_handled(alice: User, field: str) -> None:
    contact = factories.contact(alice)
    client = ApiClient(alice)
    client.raise_request_exception = False
    for value in [*STRANGE, *([value] for value in STRANGE), *({"a": value} for value in STRANGE)]:
        assert post(client, **{"phone": PHONE, field: value}).status_code in {201, 409, 422}, value
        Contact.objects.exclude(pk=contact.pk).delete()
        assert patch(client, contact, **{field: value}).status_code in {200, 422}, value


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "null",
        "[]",
        '"x"',
        "[" * 100_000,
        '{"phone": ' + HUGE + "}",
        '{"phone": NaN}',
        '{"phone": "+79991234567", "attributes": {"a": NaN}}',
        '{"phone": "+79991234567", "attributes": {"a": 1e999}}',
        '{"phone": "+79991234567", "attributes": {"a": ' + HUGE + "}}",
        '{"phone": "+79991234567", "attributes": {"\\u0000": 1}}',
        '{"phone": "+79991234567", "attributes": {"\\ud800": "\\ud800"}}',
        '{"phone": "+79991234567", "phone": null}',
        b"\xff\xfe",
        b"\x00",
    ],
    ids=range(16),
)
def test_any_body_is_handled(alice: User, body: str | bytes) -> None:
    client = ApiClient(alice)
    client.raise_request_exception = False
    answer = client.post("/contacts", body, content_type="application/json")
    assert answer.status_code in {400, 422}
    assert json.loads(answer.content)["detail"]


@pytest.mark.parametrize("contact_id", ["0", "-1", "x", "1.5", str(2**63), HUGE, "%00", "%F0%9F%98%80", "999999"])
def test_any_id_is_handled(alice: User, contact_id: str) -> None:
    client = ApiClient(alice)
    client.raise_request_exception = False
    assert client.get(f"/contacts/{contact_id}").status_code in {404, 422}
    assert client.delete(f"/contacts/{contact_id}").status_code in {404, 422}


@pytest.mark.parametrize(
    "name", ["phone", "operator_code", "country", "tag", "timezone", "q", "is_active", "limit", "cursor"]
)
def test_any_filter_value_is_handled(alice: User, name: str) -> None:
    client = ApiClient(alice)
    client.raise_request_exception = False
    for value in ["", " ", "\0", "a\0b", "x" * 3000, HUGE, "-1", "0", str(2**63), "٣٣٣", "(", "\\", "[", "%", "'", "☃"]:
        assert client.get("/contacts", {name: value}).status_code in {200, 422}, value


def test_schema_documents_every_error(alice: User) -> None:
    paths = ApiClient(alice).get("/openapi.json").json()["paths"]
    answers = paths["/api/v1/contacts/{contact_id}"]["patch"]["responses"]
    assert set(answers) == {"200", "400", "401", "403", "404", "409", "412", "413", "422", "429"}


class TestBulk:
    """`POST /contacts/bulk`."""

    def bulk(self, client: ApiClient, *rows: Any) -> Any:
        return client.post("/contacts/bulk", {"contacts": rows}, content_type="application/json")

    def test_each_row_is_written_or_reported_by_index(self, alice: User, bob: User) -> None:
        mine = factories.contact(alice, phone=79990000001, tags=("old",))
        factories.contact(bob, phone=79990000002)
        answer = self.bulk(
            ApiClient(alice),
            {"phone": PHONE, "first_name": "Анна", "tags": ["vip"]},
            {"phone": 79990000001, "tags": ["new"]},
            {"phone": "+7 999 000-00-02"},
            {"phone": "12", "first_name": "Анна"},
            {"phone": "+7 999 000-00-03", "first_name": 5},
            {"phone": "+7 999 000-00-04", "nickname": "x"},
            {"first_name": "Анна"},
            "rubbish",
            {"phone": PHONE, "last_name": "Ким"},
        )
        assert answer.status_code == 200, answer.content
        body = answer.json()
        assert (body["created"], body["updated"]) == (1, 2)
        rejected = [(row["index"], row["phone"], row["error"].partition(":")[0]) for row in body["rejected"]]
        assert rejected == [
            (2, "+7 999 000-00-02", "Only the user who added this contact and administrators can change it."),
            (3, "12", "phone"),
            (4, "+7 999 000-00-03", "first_name"),
            (5, "+7 999 000-00-04", "nickname"),
            (6, "", "phone"),
            (7, "", "Input should be a valid dictionary or object to extract fields from"),
        ]
        assert [tag.name for tag in mine.tags.all()] == ["new"]
        assert Contact.objects.get(phone=79991234567).full_name == "Анна Ким"

    def test_too_many_rows_are_refused_as_a_whole(self, alice: User) -> None:
        rows = [{"phone": str(79990000000 + number)} for number in range(10_001)]
        assert self.bulk(ApiClient(alice), *rows).status_code == 422
        assert not Contact.objects.exists()

    def test_empty_and_malformed_requests(self, alice: User) -> None:
        client = ApiClient(alice)
        assert self.bulk(client).json() == {"created": 0, "updated": 0, "rejected": []}
        assert client.post("/contacts/bulk", "{", content_type="application/json").status_code == 400
        assert client.post("/contacts/bulk", {"contacts": 5}, content_type="application/json").status_code == 422
        assert ApiClient().post("/contacts/bulk", {}, content_type="application/json").status_code == 401
