"""`/tags` of the JSON API."""

from typing import Any
from urllib.parse import quote

import pytest
from auditlog.models import LogEntry

from accounts.models import User
from directory.audiences.audience import Audience
from directory.audiences.services import audience_save
from directory.bulk_actions import work
from directory.models import Tag
from tests import factories
from tests.conftest import ApiClient

JSON = "application/json"


def test_a_tag_is_added_listed_and_counted(alice: User) -> None:
    client = ApiClient(alice)
    added = client.post("/tags", {"name": " VIP  gold ", "tone": "warn"}, content_type=JSON)
    assert added.status_code == 201, added.content
    factories.contact(alice, tags=("vip gold", "new"))
    new, vip = client.get("/tags").json()["items"]
    assert (new["name"], new["tone"], new["contacts"]) == ("new", "", 1)
    assert vip == {**added.json(), "contacts": 1}
    assert [row["name"] for row in client.get("/tags?q=gold").json()["items"]] == ["vip gold"]
    page = client.get("/tags?limit=1").json()
    assert [row["name"] for row in client.get(f"/tags?cursor={page['next']}").json()["items"]] == ["vip gold"]


def test_a_tag_exists_once(alice: User) -> None:
    client = ApiClient(alice)
    key = {"Idempotency-Key": "one"}
    first, again = (client.post("/tags", {"name": "vip"}, content_type=JSON, headers=key) for _ in range(2))
    assert (first.status_code, again.json()) == (201, first.json())
    assert client.post("/tags", {"name": "VIP"}, content_type=JSON).status_code == 409


@pytest.mark.parametrize("name", ["две слова", "a/b", "100%", "a?b#c", "+"])
def test_any_name_fits_into_the_address(alice: User, name: str) -> None:
    factories.contact(alice, tags=(name,))
    client = ApiClient(alice)
    changed = client.patch(f"/tags/{quote(name, safe='')}", {"tone": "bad"}, content_type=JSON)
    assert (changed.status_code, changed.json()["name"], changed.json()["tone"]) == (200, name, "bad")
    assert client.delete(f"/tags/{quote(name, safe='')}").status_code == 204
    assert not Tag.objects.exists()


def test_audiences_follow_a_new_name_and_the_change_is_recorded(alice: User) -> None:
    contact = factories.contact(alice, tags=("old",))
    saved = audience_save(by=alice, name="Old", audience=Audience(tags=("old",)))
    answer = ApiClient(alice).patch("/tags/OLD", {"name": "New"}, content_type=JSON)
    assert answer.status_code == 200, answer.content
    saved.refresh_from_db()
    assert (saved.audience["tags"], contact.tags.get().name) == (["new"], "new")
    entry = LogEntry.objects.get_for_object(Tag.objects.get()).latest("pk")
    assert (entry.actor, entry.changes) == (alice, {"name": ["old", "new"]})


def test_a_stale_or_taken_name_is_a_conflict(alice: User) -> None:
    factories.contact(alice, tags=("one", "two"))
    client = ApiClient(alice)
    assert client.patch("/tags/one", {"name": "two"}, content_type=JSON).status_code == 409
    version = client.patch("/tags/one", {"tone": "good"}, content_type=JSON).headers["ETag"]
    assert client.patch("/tags/one", {"tone": "bad", "version": "x"}, content_type=JSON).status_code == 409
    stale: Any = client.patch("/tags/one", {"tone": "bad"}, content_type=JSON, headers={"If-Match": '"x"'})
    assert stale.status_code == 412
    current: Any = client.patch("/tags/one", {"tone": "bad"}, content_type=JSON, headers={"If-Match": version})
    assert current.status_code == 200


def test_a_tag_is_merged_into_another(alice: User) -> None:
    contact = factories.contact(alice, tags=("old",))
    Tag.objects.create(name="new")
    answer = ApiClient(alice).post("/tags/old/merge", {"into": "NEW"}, content_type=JSON)
    assert answer.status_code == 200, answer.content
    action = answer.json()
    assert (action["action"], action["changed"], action["done"], action["total"]) == ("merge", 1, 1, 1)
    assert [tag.name for tag in contact.tags.all()] == ["new"]
    assert not Tag.objects.filter(name="old").exists()


@pytest.mark.parametrize("into", ["old", "nobody", "", "\0", None])
def test_a_merge_needs_another_tag(alice: User, into: Any) -> None:
    factories.contact(alice, tags=("old",))
    assert ApiClient(alice).post("/tags/old/merge", {"into": into}, content_type=JSON).status_code == 422


def test_large_tags_are_deleted_in_the_background(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "_BATCH", 1)
    for _ in range(2):
        factories.contact(alice, tags=("old",))
    client = ApiClient(alice)
    started = client.delete("/tags/old")
    assert (started.status_code, started.json()["finished_at"]) == (202, None)
    work.bulk_work(started.json()["id"])
    assert client.get(f"/contacts/bulk-actions/{started.json()['id']}").json()["changed"] == 2
    assert client.delete("/tags/old").status_code == 404


@pytest.mark.parametrize(
    "body",
    [{"name": ""}, {"name": "a,b"}, {"name": "x" * 51}, {"name": "\0"}, {"tone": "pink"}, {"name": None}, {"x": 1}],
)
def test_strange_tags_are_refused(alice: User, body: dict[str, Any]) -> None:
    factories.contact(alice, tags=("one",))
    client = ApiClient(alice)
    assert client.post("/tags", {"name": "two", **body}, content_type=JSON).status_code == 422
    assert client.patch("/tags/one", body, content_type=JSON).status_code == 422


@pytest.mark.parametrize("name", ["%00", "x" * 300, "%F0%9F%98%80", "%20", ".", "a/merge"])
def test_strange_names_are_not_found(alice: User, name: str) -> None:
    client = ApiClient(alice)
    assert client.delete(f"/tags/{name}").status_code in (404, 405, 422)
    assert client.post(f"/tags/{name}/merge", {"into": "x"}, content_type=JSON).status_code in (404, 422)
