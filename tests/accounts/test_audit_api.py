"""`/audit` of the JSON API."""

import pytest
from auditlog.models import LogEntry

from accounts.models import User
from directory.models import Tag
from directory.tags.services import tag_update
from tests import factories
from tests.conftest import ApiClient

JSON = "application/json"


def test_administrators_see_who_changed_what(alice: User, admin: User) -> None:
    contact = factories.contact(alice)
    body = {"first_name": "Anna", "tags": ["vip"]}
    assert ApiClient(alice).patch(f"/contacts/{contact.pk}", body, content_type=JSON).status_code == 200
    path = f"/audit?object=contact&object_id={contact.pk}&by={alice.pk}&action=changed"
    entries = ApiClient(admin).get(path).json()["items"]
    assert {(entry["by"], entry["object"], entry["object_id"]) for entry in entries} == {
        (alice.pk, "contact", str(contact.pk))
    }
    changes = {name: change for entry in entries for name, change in entry["changes"].items()}
    assert changes == {"first_name": {"old": "", "new": "Anna"}, "tags": {"added": ["vip"]}}


def test_entries_come_in_pages_and_between_two_times(alice: User, admin: User) -> None:
    for name in ("a", "b", "c"):
        tag_update(tag=Tag.objects.create(name=name), by=admin, name=f"{name}{name}", tone="")
    client = ApiClient(admin)
    first = client.get("/audit?object=tag&limit=4").json()
    second = client.get(f"/audit?object=tag&cursor={first['next']}").json()
    assert [len(page["items"]) for page in (first, second)] == [4, 2]
    assert [entry["action"] for entry in first["items"]] == ["changed", "created"] * 2
    assert client.get("/audit?since=2099-01-01T00:00:00Z").json()["items"] == []
    assert len(client.get("/audit?object=tag&before=2099-01-01T00:00:00Z").json()["items"]) == 6


def test_deleted_objects_are_listed(admin: User) -> None:
    Tag.objects.create(name="old").delete()
    assert [entry["action"] for entry in ApiClient(admin).get("/audit?action=deleted").json()["items"]] == ["deleted"]
    assert LogEntry.objects.count() == 2


@pytest.mark.parametrize(
    "query",
    ["by=0", "object=x", "object_id=%00", "action=x", "since=1", "before=2099-01-01", "cursor=x", "x=1"],
)
def test_strange_filters_are_refused(admin: User, query: str) -> None:
    assert ApiClient(admin).get(f"/audit?{query}").status_code == 422
