"""`Idempotency-Key`: executed once, answered each time."""

from datetime import timedelta
from typing import Any

import pytest
from pytest_django import Settings

from accounts.models import ApiToken, StoredAnswer, User
from accounts.services import prune
from directory.models import Contact
from project import api as root
from tests import factories
from tests.conftest import ApiClient

pytestmark = pytest.mark.django_db

BODY = {"phone": "79161234567", "first_name": "Anna"}


def post(client: ApiClient, path: str, body: dict[str, Any], key: str = "key-1") -> Any:
    return client.post(path, body, content_type="application/json", headers={"Idempotency-Key": key})


def test_repeated_request_gets_the_first_answer(alice: User) -> None:
    client = ApiClient(alice)
    first, again = post(client, "/contacts", BODY), post(client, "/contacts", BODY)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert (first.has_header("Idempotent-Replayed"), again["Idempotent-Replayed"]) == (False, "true")
    assert Contact.objects.count() == 1


def test_same_key_with_another_request_is_refused(alice: User) -> None:
    client = ApiClient(alice)
    post(client, "/contacts", BODY)
    for path, body in (("/contacts", BODY | {"first_name": "Maria"}), ("/messages", {"phone": "79161234567"})):
        answer = post(client, path, body)
        assert answer.status_code == 409
        assert "a different request" in answer.json()["detail"]


def test_keys_are_separate_for_each_user(alice: User, bob: User) -> None:
    post(ApiClient(alice), "/contacts", BODY)
    answer = post(ApiClient(bob), "/contacts", BODY | {"phone": "79161234568"})
    assert answer.status_code == 201
    assert not answer.has_header("Idempotent-Replayed")


def test_another_token_of_the_user_gets_the_first_answer(alice: User) -> None:
    post(ApiClient(alice), "/contacts", BODY)
    assert post(ApiClient(alice), "/contacts", BODY)["Idempotent-Replayed"] == "true"


def test_conflict_is_stored_and_correctable_errors_are_not(alice: User) -> None:
    client = ApiClient(alice)
    factories.contact(alice, phone=79161234567)
    assert post(client, "/contacts", BODY).status_code == 409
    Contact.objects.all().delete()
    assert post(client, "/contacts", BODY).status_code == 409
    assert post(client, "/contacts", {"phone": "12"}, "key-2").status_code == 422
    assert post(client, "/contacts", BODY, "key-2").status_code == 201


def test_internal_error_is_not_stored_and_has_no_effect(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    client = ApiClient(alice)
    client.raise_request_exception = False

    def fail(contact: Contact, tags: list[str] | None = None) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("directory.api.contact_out", fail)
    answer = post(client, "/contacts", BODY)
    assert (answer.status_code, "secret" in answer.content.decode()) == (500, False)
    assert "X-Request-ID" in answer.json()["detail"]
    assert (Contact.objects.count(), StoredAnswer.objects.count()) == (0, 0)
    monkeypatch.undo()
    assert post(client, "/contacts", BODY).status_code == 201


def test_invalid_token_gets_no_stored_answer(alice: User) -> None:
    client = ApiClient(alice)
    post(client, "/contacts", BODY)
    ApiToken.objects.update(revoked_at=alice.date_joined)
    assert post(client, "/contacts", BODY).status_code == 401


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "ключ", "a\tb"])
def test_invalid_key_is_reported(alice: User, key: str) -> None:
    answer = post(ApiClient(alice), "/contacts", BODY, key)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["header", "Idempotency-Key"]


def test_token_secret_is_not_stored(alice: User) -> None:
    body = {"email": alice.email, "password": factories.PASSWORD}
    first, second = (post(ApiClient(), "/tokens", body).json()["token"] for _ in range(2))
    assert first != second
    assert not StoredAnswer.objects.exists()


def test_sign_up_can_be_repeated() -> None:
    body = {"email": "new@example.org", "password": factories.PASSWORD, "first_name": "New", "last_name": "User"}
    assert post(ApiClient(), "/users", body).json() == post(ApiClient(), "/users", body).json()
    kept = StoredAnswer.objects.values().get()
    assert factories.PASSWORD not in str(kept)


def test_stored_answers_are_deleted_after_a_day(alice: User) -> None:
    client = ApiClient(alice)
    post(client, "/contacts", BODY)
    prune()
    assert StoredAnswer.objects.exists()
    row = StoredAnswer.objects.get()
    StoredAnswer.objects.update(created_at=row.created_at - timedelta(hours=25))
    prune()
    assert not StoredAnswer.objects.exists()


def test_repeats_count_towards_the_rate_limit(alice: User, settings: Settings) -> None:
    client = ApiClient(alice)
    settings.API_RATE = 3
    assert [post(client, "/contacts", BODY).status_code for _ in range(4)] == [201, 201, 201, 429]


def test_every_creating_operation_accepts_a_key() -> None:
    schema = root.api.get_openapi_schema()
    creating = {
        operation["operationId"]: [parameter["name"] for parameter in operation["parameters"]]
        for path in schema["paths"].values()
        for method, operation in path.items()
        if method == "post" and {"201", "202"} & operation["responses"].keys()
    }
    assert {"create_contact", "create_campaign", "send_message", "create_webhook"} <= creating.keys()
    # A token's secret is shown once; retrying a stopped message creates no new one.
    without = {name for name, parameters in creating.items() if "Idempotency-Key" not in parameters}
    assert without == {"create_token", "retry_message"}


def with_scopes(user: User, *scopes: str) -> ApiClient:
    client = ApiClient(user)
    ApiToken.objects.filter(pk=ApiToken.objects.latest("pk").pk).update(scopes=list(scopes))
    return client


def test_replay_requires_the_scope_of_the_first_request(alice: User) -> None:
    hook = {"url": "https://hooks.example.org/"}
    first = post(ApiClient(alice), "/webhooks", hook)
    assert first.status_code == 201

    refused = post(with_scopes(alice, "read"), "/webhooks", hook)
    assert refused.status_code == 403
    assert "secret" not in refused.json()
    assert post(with_scopes(alice, "write"), "/webhooks", hook).json() == first.json()


def test_replay_requires_scopes_that_depend_on_the_body(alice: User) -> None:
    factories.contact(alice, phone=79161234567)
    message = {"phone": "79161234567", "text": "Hi"}
    assert post(ApiClient(alice), "/messages", message).status_code == 202

    assert post(with_scopes(alice, "read", "write"), "/messages", message).status_code == 403
    assert post(with_scopes(alice, "send"), "/messages", message).status_code == 202


def test_answer_with_a_secret_is_stored_sealed(alice: User) -> None:
    hook = {"url": "https://hooks.example.org/"}
    secret = post(ApiClient(alice), "/webhooks", hook).json()["secret"]

    assert secret not in StoredAnswer.objects.get().body
    assert post(ApiClient(alice), "/webhooks", hook).json()["secret"] == secret


def test_every_answer_with_a_secret_is_sealed() -> None:
    for _prefix, router in root.api._routers:
        for view in router.path_operations.values():
            for operation in view.operations:
                answers = [model for model in operation.response_models.values() if model]
                fields = {name for model in answers for name in answer_fields(model)}
                takes_key = "parameters" in (operation.openapi_extra or {})
                if takes_key and fields & {"secret", "token"}:
                    assert hasattr(operation.view_func, "answers_with_secret"), operation.view_func.__name__


def answer_fields(model: Any) -> set[str]:
    """The fields of an answer's schema, which ninja wraps in one more."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        found |= {name} | (answer_fields(field.annotation) if hasattr(field.annotation, "model_fields") else set())
    return found


def test_refused_request_leaves_the_key_unused(alice: User) -> None:
    assert post(with_scopes(alice, "read"), "/contacts", BODY).status_code == 403
    assert post(ApiClient(alice), "/contacts", BODY).status_code == 201
