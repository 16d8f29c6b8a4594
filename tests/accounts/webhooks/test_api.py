"""Webhooks through the JSON API."""

from typing import Any

import pytest

from accounts.models import User
from accounts.webhooks.models import EventType, Webhook
from tests.conftest import ApiClient

pytestmark = pytest.mark.django_db

URL = "https://8.8.8.8/hook"


def add(client: ApiClient, **fields: Any) -> Any:
    return client.post("/webhooks", {"url": URL, **fields}, content_type="application/json")


def test_webhook_is_added_and_its_secret_returned_once(alice: User) -> None:
    client = ApiClient(alice)
    answer = add(client, events=["campaign.finished", "message.sent"])
    assert answer.status_code == 201
    made = answer.json()
    assert made["secret"].startswith("whsec_")
    assert (made["url"], made["events"]) == (URL, ["message.sent", "campaign.finished"])
    listed = client.get("/webhooks").json()["items"]
    assert listed == [{name: value for name, value in made.items() if name != "secret"}]


def test_default_is_all_events(alice: User) -> None:
    assert add(ApiClient(alice)).json()["events"] == EventType.values


def test_unresolvable_name_is_accepted(alice: User) -> None:
    assert add(ApiClient(alice), url="https://hooks.example.invalid/").status_code == 201


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"url": "https://localhost/"}, "url"),
        ({"url": "https://169.254.169.254/latest"}, "url"),
        ({"url": "http://example.org/"}, "url"),
        ({"url": "nonsense"}, "url"),
        ({"url": "https://example.org/\0"}, "url"),
        ({"url": "https://example.org/" + "x" * 2000}, "url"),
        ({"events": []}, "events"),
        ({"events": ["message.read"]}, "events"),
        ({"secret": "whsec_"}, "secret"),
    ],
)
def test_invalid_webhooks_are_refused(alice: User, fields: dict[str, Any], place: str) -> None:
    answer = add(ApiClient(alice), **fields)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][:2] == ["body", place]


def test_number_of_webhooks_is_limited(alice: User) -> None:
    Webhook.objects.bulk_create(Webhook(owner=alice, url=URL, events=[]) for _ in range(20))
    assert add(ApiClient(alice)).status_code == 409


def test_only_the_owner_deletes_a_webhook(alice: User, admin: User) -> None:
    made = add(ApiClient(alice)).json()["id"]
    assert ApiClient(admin).delete(f"/webhooks/{made}").status_code == 403
    assert ApiClient(admin).get("/webhooks").json()["items"] == []
    assert ApiClient(alice).delete(f"/webhooks/{made}").status_code == 204
    assert not Webhook.objects.exists()
