"""`/suppressions` of the JSON API."""

from typing import Any

import pytest

from accounts.models import User
from directory.models import Source, Suppression
from directory.suppression.services import suppress
from tests import factories
from tests.conftest import ApiClient

PHONE = 79161234567


def post(client: ApiClient, path: str = "", **body: Any) -> Any:
    return client.post(f"/suppressions{path}", body, content_type="application/json")


def phones(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [item["phone"] for item in answer.json()["items"]]


def test_a_phone_is_listed_and_its_contact_opted_out(alice: User, bob: User) -> None:
    contact = factories.contact(bob, phone=PHONE)
    answer = post(ApiClient(alice), phone="8 (916) 123-45-67", reason=" Asked ")
    assert answer.status_code == 201, answer.content
    row = answer.json()
    assert {name: row[name] for name in row if name != "created_at"} == {
        "phone": "79161234567",
        "reason": "Asked",
        "source": "api",
        "by": alice.pk,
    }
    contact.refresh_from_db()
    assert contact.opted_out
    assert ApiClient(bob).get("/suppressions").json() == {"items": [row], "next": None}


def test_a_listed_phone_keeps_its_first_entry(alice: User, bob: User) -> None:
    suppress([PHONE], by=alice, reason="First")
    answer = post(ApiClient(bob), phone=PHONE, reason="Second")
    assert (answer.status_code, answer.json()["reason"], answer.json()["by"]) == (200, "First", alice.pk)


def test_many_phones_are_added_and_unreadable_ones_named(alice: User) -> None:
    suppress([PHONE], by=alice)
    sent = ["8 916 123-45-67", "79161234568", "+7 916 123-45-68", "nobody"]
    answer = post(ApiClient(alice), "/bulk", phones=sent)
    assert answer.status_code == 200, answer.content
    found = answer.json()
    assert (found["added"], found["known"]) == (1, 1)
    assert [(row["index"], row["phone"]) for row in found["rejected"]] == [(3, "nobody")]
    assert Suppression.objects.count() == 2


def test_the_list_is_filtered_and_paged_newest_first(alice: User) -> None:
    for number in range(3):
        suppress([PHONE + number], by=alice, source=Source.IMPORT if number else Source.PERSON)
    client = ApiClient(alice)
    assert phones(client.get("/suppressions?q=8 916 123-45-68")) == ["79161234568"]
    assert phones(client.get("/suppressions?source=person")) == ["79161234567"]
    assert phones(client.get("/suppressions?q=Anna")) == []
    first = client.get("/suppressions?limit=2")
    assert phones(first) == ["79161234569", "79161234568"]
    second = client.get("/suppressions", {"limit": 2, "cursor": first.json()["next"]})
    assert (phones(second), second.json()["next"]) == (["79161234567"], None)


def test_a_phone_is_released_in_any_notation(alice: User) -> None:
    contact = factories.contact(alice, phone=PHONE)
    suppress([PHONE], by=alice)
    client = ApiClient(alice)
    assert client.delete("/suppressions/+7%20(916)%20123-45-67").status_code == 204
    contact.refresh_from_db()
    assert not contact.opted_out
    assert client.delete(f"/suppressions/{PHONE}").status_code == 404


def test_a_phone_is_released_as_the_list_has_it(alice: User) -> None:
    suppress([84912345678], by=alice)
    assert ApiClient(alice).delete("/suppressions/84912345678").status_code == 204


@pytest.mark.parametrize("phone", ["x", "%00", "-1", "0", "9" * 15, "9" * 16, "9" * 41, "%F0%9F%98%80", "٣"])
def test_strange_phones_are_not_found(alice: User, phone: str) -> None:
    assert ApiClient(alice).delete(f"/suppressions/{phone}").status_code in (404, 422)


@pytest.mark.parametrize(
    "query", ["cursor=x", "cursor=1", "cursor=[]", 'cursor=["x",1]', "cursor=[1e400,1]", "source=x"]
)
def test_strange_filters_are_refused(alice: User, query: str) -> None:
    assert ApiClient(alice).get(f"/suppressions?{query}").status_code == 422


@pytest.mark.parametrize("body", [{}, {"phone": "x"}, {"phone": None}, {"phone": PHONE, "reason": "\0"}, {"phone": []}])
def test_strange_bodies_are_refused(alice: User, body: dict[str, Any]) -> None:
    assert post(ApiClient(alice), **body).status_code == 422
    assert not Suppression.objects.exists()
