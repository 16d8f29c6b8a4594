"""`/contacts/bulk-actions` of the JSON API."""

from typing import Any

import pytest

from accounts.models import User
from directory.bulk_actions import work
from directory.models import BulkAction
from tests import factories
from tests.conftest import ApiClient


def post(user: User, **body: Any) -> Any:
    return ApiClient(user).post("/contacts/bulk-actions", body, content_type="application/json")


def test_a_tag_is_added_to_all_contacts_of_a_filter(alice: User, bob: User) -> None:
    own = factories.contact(alice, tags=("vip",))
    factories.contact(alice, tags=("vip",), phone=77010000001)
    factories.contact(bob, tags=("vip",))
    answer = post(alice, action="tag", tag="Best", filter={"tags": ["VIP", "x"], "country": "RU"})
    assert answer.status_code == 201, answer.content
    action = answer.json()
    assert {name: action[name] for name in action if not name.endswith("_at")} == {
        "id": BulkAction.objects.get().pk,
        "action": "tag",
        "tag": "best",
        "total": 2,
        "done": 2,
        "changed": 1,
        "unchanged": 0,
        "refused": 1,
        "owner": alice.pk,
    }
    assert [tag.name for tag in own.tags.all()] == ["best", "vip"]


def test_contacts_are_chosen_by_id(alice: User) -> None:
    first, second = factories.contact(alice), factories.contact(alice)
    assert post(alice, action="deactivate", ids=[first.pk, first.pk, 2**63 - 1]).json()["changed"] == 1
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.is_active, second.is_active) == (False, True)
    assert post(alice, action="reactivate", filter={"is_active": False}).json()["changed"] == 1


def test_every_filter_narrows(alice: User) -> None:
    contact = factories.contact(alice, phone=79161234567, first_name="Anna", timezone="Asia/Omsk")
    factories.contact(alice, is_active=False, opted_out=True, timezone="Europe/Moscow")
    matching = {
        "phone": "8 916 123-45-67",
        "timezone": "Asia/Omsk",
        "country": "RU",
        "q": "anna",
        "owner": alice.pk,
        "is_active": True,
        "opted_out": False,
        "added_from": "2020-01-01T00:00:00Z",
        "added_before": "2099-01-01T00:00:00+03:00",
    }
    assert post(alice, action="tag", tag="all", filter=matching).json()["total"] == 1
    assert contact.tags.get().name == "all"
    assert post(alice, action="tag", tag="all", filter={"added_before": "2020-01-01T00:00:00Z"}).json()["total"] == 0


def test_many_contacts_are_changed_in_the_background(alice: User, bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "_BATCH", 1)
    for _ in range(2):
        factories.contact(alice, tags=("old",))
    action = post(alice, action="untag", tag="old", filter={"added_from": "2020-01-01T00:00:00Z"}).json()
    assert (action["done"], action["total"], action["finished_at"]) == (0, 2, None)
    work.bulk_work(action["id"])
    path = f"/contacts/bulk-actions/{action['id']}"
    assert ApiClient(alice).get(path).json()["done"] == 2
    assert ApiClient(bob).get(path).status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"action": "tag", "filter": {}},
        {"action": "tag", "tag": "a,b", "filter": {}},
        {"action": "tag", "tag": "\0", "filter": {}},
        {"action": "deactivate"},
        {"action": "deactivate", "tag": "İ" * 50, "filter": {}},
        {"action": "deactivate", "ids": [1], "filter": {}},
        {"action": "deactivate", "ids": None, "filter": None},
        {"action": "deactivate", "ids": [0]},
        {"action": "deactivate", "ids": [2**63]},
        {"action": "merge", "filter": {}},
        {"action": "deactivate", "filter": {"tag": "vip"}},
        {"action": "deactivate", "filter": {"phone": "x"}},
        {"action": "deactivate", "filter": {"q": "\0"}},
        {"action": "deactivate", "filter": {"added_from": 1}},
        {"action": "deactivate", "filter": {"added_from": "9999-12-31T23:59:59-12:00"}},
        {"action": "deactivate", "filter": {"tags": None}},
    ],
)
def test_strange_bodies_are_refused(alice: User, body: dict[str, Any]) -> None:
    assert post(alice, **body).status_code == 422
    assert not BulkAction.objects.exists()
