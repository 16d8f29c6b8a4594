"""`Idempotency-Key`: done once, answered as often as asked."""

from datetime import timedelta
from typing import Any

import pytest
from pytest_django import Settings

from accounts.models import ApiToken, KeptAnswer, User
from accounts.services import prune
from directory.models import Contact
from project import api as root
from tests import factories
from tests.conftest import ApiClient

pytestmark = pytest.mark.django_db

BODY = {"phone": "79161234567", "first_name": "Anna"}


def post(client: ApiClient, path: str, body: dict[str, Any], key: str = "key-1") -> Any:
    return client.post(path, body, content_type="application/json", headers={"Idempotency-Key": key})


def test_the_same_again_gives_the_first_answer(alice: User) -> None:
    client = ApiClient(alice)
    first, again = post(client, "/contacts", BODY), post(client, "/contacts", BODY)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert (first.has_header("Idempotent-Replayed"), again["Idempotent-Replayed"]) == (False, "true")
    assert Contact.objects.count() == 1


def test_another_request_with_the_key_is_refused(alice: User) -> None:
    client = ApiClient(alice)
    post(client, "/contacts", BODY)
    for path, body in (("/contacts", BODY | {"first_name": "Maria"}), ("/messages", {"phone": "79161234567"})):
        answer = post(client, path, body)
        assert answer.status_code == 409
        assert "another request" in answer.json()["detail"]


def test_keys_are_each_users_own(alice: User, bob: User) -> None:
    post(ApiClient(alice), "/contacts", BODY)
    answer = post(ApiClient(bob), "/contacts", BODY | {"phone": "79161234568"})
    assert answer.status_code == 201
    assert not answer.has_header("Idempotent-Replayed")


def test_another_token_of_the_user_gets_the_first_answer(alice: User) -> None:
    post(ApiClient(alice), "/contacts", BODY)
    assert post(ApiClient(alice), "/contacts", BODY)["Idempotent-Replayed"] == "true"


def test_a_conflict_is_kept_and_what_asks_for_another_request_is_not(alice: User) -> None:
    client = ApiClient(alice)
    factories.contact(alice, phone=79161234567)
    assert post(client, "/contacts", BODY).status_code == 409
    Contact.objects.all().delete()
    assert post(client, "/contacts", BODY).status_code == 409
    assert post(client, "/contacts", {"phone": "12"}, "key-2").status_code == 422
    assert post(client, "/contacts", BODY, "key-2").status_code == 201


def test_our_own_fault_is_not_kept_and_leaves_nothing(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    client = ApiClient(alice)
    client.raise_request_exception = False

    def fail(contact: Contact) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("directory.api._shown", fail)
    answer = post(client, "/contacts", BODY)
    assert (answer.status_code, "secret" in answer.content.decode()) == (500, False)
    assert "X-Request-ID" in answer.json()["detail"]
    assert (Contact.objects.count(), KeptAnswer.objects.count()) == (0, 0)
    monkeypatch.undo()
    assert post(client, "/contacts", BODY).status_code == 201


def test_a_token_that_holds_no_more_gets_no_answer(alice: User) -> None:
    client = ApiClient(alice)
    post(client, "/contacts", BODY)
    ApiToken.objects.update(revoked_at=alice.date_joined)
    assert post(client, "/contacts", BODY).status_code == 401


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "ключ", "a\tb"])
def test_a_bad_key_is_told(alice: User, key: str) -> None:
    answer = post(ApiClient(alice), "/contacts", BODY, key)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["header", "Idempotency-Key"]


def test_the_secret_of_a_token_is_not_kept(alice: User) -> None:
    body = {"email": alice.email, "password": factories.PASSWORD}
    first, second = (post(ApiClient(), "/tokens", body).json()["token"] for _ in range(2))
    assert first != second
    assert not KeptAnswer.objects.exists()


def test_a_registration_may_be_repeated() -> None:
    body = {"email": "new@example.org", "password": factories.PASSWORD, "first_name": "New", "last_name": "User"}
    assert post(ApiClient(), "/users", body).json() == post(ApiClient(), "/users", body).json()
    kept = KeptAnswer.objects.values().get()
    assert factories.PASSWORD not in str(kept)


def test_answers_are_forgotten_after_a_day(alice: User) -> None:
    client = ApiClient(alice)
    post(client, "/contacts", BODY)
    prune()
    assert KeptAnswer.objects.exists()
    row = KeptAnswer.objects.get()
    KeptAnswer.objects.update(created_at=row.created_at - timedelta(hours=25))
    prune()
    assert not KeptAnswer.objects.exists()


def test_repeats_count_for_the_limit(alice: User, settings: Settings) -> None:
    client = ApiClient(alice)
    settings.API_RATE = 3
    assert [post(client, "/contacts", BODY).status_code for _ in range(4)] == [201, 201, 201, 429]


def test_every_call_that_creates_takes_a_key() -> None:
    schema = root.api.get_openapi_schema()
    creating = {
        operation["operationId"]: [parameter["name"] for parameter in operation["parameters"]]
        for path in schema["paths"].values()
        for method, operation in path.items()
        if method == "post" and {"201", "202"} & operation["responses"].keys()
    }
    assert {"create_contact", "create_campaign", "send_message", "create_webhook"} <= creating.keys()
    # A token's secret is shown once, and a stopped message that is retried is no new one.
    without = {name for name, parameters in creating.items() if "Idempotency-Key" not in parameters}
    assert without == {"create_token", "retry_message"}
