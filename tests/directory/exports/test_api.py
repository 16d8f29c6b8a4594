"""`/contacts/export` of the JSON API."""

import json
from typing import Any

import pytest

from accounts.models import User
from tests import factories
from tests.conftest import ApiClient


def content(answer: Any) -> bytes:
    assert answer.status_code == 200, answer.content
    return b"".join(answer.streaming_content)


def test_contacts_are_exported_in_every_format(alice: User) -> None:
    factories.contact(alice, first_name="Anna", tags=("vip",), attributes={"city": "Омск"})
    factories.contact(alice, first_name="Boris")
    client = ApiClient(alice)
    table = content(client.get("/contacts/export")).decode("utf-8-sig")
    assert table.splitlines()[0].startswith("phone,first_name,last_name")
    assert [line.split(",")[1] for line in table.splitlines()[1:]] == ["Anna", "Boris"]
    assert content(client.get("/contacts/export?format=xlsx")).startswith(b"PK")
    lines = content(client.get("/contacts/export?format=jsonl&tag=VIP")).decode().splitlines()
    assert [json.loads(line) for line in lines] == client.get("/contacts?tag=vip").json()["items"]


@pytest.mark.parametrize("query", ["format=pdf", "format=", "phone=x", "q=%00", "limit=1", "is_active=x"])
def test_strange_parameters_are_refused(alice: User, query: str) -> None:
    assert ApiClient(alice).get(f"/contacts/export?{query}").status_code == 422
