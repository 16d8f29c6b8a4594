"""`/audiences` of the JSON API."""

from typing import Any

import pytest

from accounts.models import User
from accounts.optimistic_locking import version_of
from directory.audiences.audience import Audience
from directory.audiences.services import audience_save
from directory.models import SavedAudience
from tests import factories
from tests.conftest import ApiClient

JSON = "application/json"


def test_an_audience_is_saved_and_read(alice: User, bob: User) -> None:
    body = {"name": " Best  of Omsk ", "audience": {"tags": ["VIP"], "timezones": ["Asia/Omsk"]}}
    answer = ApiClient(alice).post("/audiences", body, content_type=JSON)
    assert answer.status_code == 201, answer.content
    saved = answer.json()
    row = SavedAudience.objects.get()
    assert {name: saved[name] for name in saved if not name.endswith("_at")} == {
        "id": row.pk,
        "name": "Best of Omsk",
        "audience": {
            "operator_codes": [],
            "tags": ["vip"],
            "tags_match": "any",
            "timezones": ["Asia/Omsk"],
            "countries": [],
        },
        "owner": alice.pk,
        "version": version_of(row),
    }
    client = ApiClient(bob)
    assert client.get(f"/audiences/{row.pk}").json() == saved
    assert client.get("/audiences?q=omsk").json() == {"items": [saved], "next": None}
    assert client.get("/audiences?q=tomsk").json()["items"] == []
    assert ApiClient(alice).post("/audiences", body, content_type=JSON).status_code == 409


def test_given_filters_are_replaced_and_the_others_stay(alice: User) -> None:
    row = audience_save(by=alice, name="Best", audience=Audience(tags=("vip",), countries=("RU",)))
    client = ApiClient(alice)
    changed = client.patch(f"/audiences/{row.pk}", {"audience": {"countries": ["KZ"]}}, content_type=JSON)
    assert changed.status_code == 200, changed.content
    assert (changed.json()["audience"]["tags"], changed.json()["audience"]["countries"]) == (["vip"], ["KZ"])
    renamed = client.patch(f"/audiences/{row.pk}", {"name": "Better"}, content_type=JSON)
    assert (renamed.json()["name"], renamed.json()["audience"]) == ("Better", changed.json()["audience"])


def test_a_stale_version_or_a_taken_name_is_a_conflict(alice: User) -> None:
    audience_save(by=alice, name="Taken", audience=Audience())
    row = audience_save(by=alice, name="Best", audience=Audience())
    client, path = ApiClient(alice), f"/audiences/{row.pk}"
    etag = client.get(path).headers["ETag"]
    assert client.patch(path, {"name": "Taken"}, content_type=JSON).status_code == 409
    assert client.patch(path, {"name": "Better"}, content_type=JSON, headers={"If-Match": etag}).status_code == 200
    assert client.patch(path, {"name": "Good"}, content_type=JSON, headers={"If-Match": etag}).status_code == 412
    assert client.patch(path, {"name": "Good", "version": "x"}, content_type=JSON).status_code == 409


def test_an_audience_is_deleted(alice: User) -> None:
    row = audience_save(by=alice, name="Best", audience=Audience())
    client = ApiClient(alice)
    assert client.delete(f"/audiences/{row.pk}").status_code == 204
    assert client.get(f"/audiences/{row.pk}").status_code == 404


def test_recipients_are_counted_by_what_they_have(alice: User) -> None:
    factories.contact(alice, tags=("vip",), timezone="Asia/Omsk")
    factories.contact(alice, tags=("vip",), timezone="Asia/Almaty", phone=77010000001)
    factories.contact(alice, tags=("vip",), opted_out=True)
    factories.contact(alice)
    client = ApiClient(alice)
    expected = {
        "recipients": 2,
        "opted_out": 1,
        "countries": {"KZ": 1, "RU": 1},
        "operator_codes": {"701": 1, "999": 1},
        "timezones": {"Asia/Almaty": 1, "Asia/Omsk": 1},
    }
    assert client.post("/audiences/count", {"tags": ["vip"]}, content_type=JSON).json() == expected
    saved = audience_save(by=alice, name="Best", audience=Audience(tags=("vip",)))
    assert client.post("/audiences/count", {"saved": saved.pk}, content_type=JSON).json() == expected
    assert client.post("/audiences/count", {"saved": 2**62}, content_type=JSON).status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        {"name": ""},
        {"name": " "},
        {"name": "x" * 101},
        {"name": "\0"},
        {"name": None},
        {"audience": None},
        {"audience": {"tags": ["\0"]}},
        {"audience": {"countries": ["ru"]}},
        {"audience": {"written": {"when": "within"}}},
        {"audience": {"saved": 2**62}},
        {"audience": {"x": 1}},
    ],
)
def test_strange_bodies_are_refused(alice: User, body: dict[str, Any]) -> None:
    row = audience_save(by=alice, name="Best", audience=Audience())
    client = ApiClient(alice)
    assert client.post("/audiences", {"name": "A", "audience": {}, **body}, content_type=JSON).status_code == 422
    assert client.patch(f"/audiences/{row.pk}", body, content_type=JSON).status_code == 422
