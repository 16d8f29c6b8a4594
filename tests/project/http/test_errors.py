"""The format of the API's errors, wherever they arise."""

from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from tests.conftest import ApiClient


@pytest.mark.parametrize(
    ("path", "body", "place"),
    [
        ("/contacts", {"phone": "12"}, ["body", "phone"]),
        ("/contacts", {"phone": "79991234567", "timezone": "Mars/Olympus"}, ["body", "timezone"]),
        ("/contacts", {"phone": "79991234567", "colour": "red"}, ["body", "colour"]),
        ("/contacts", {"first_name": "Anna"}, ["body", "phone"]),
        ("/campaigns", {"name": "Sale", "text": "Hi", "ends_at": "2020-01-01T00:00:00Z"}, ["body", "ends_at"]),
        ("/campaigns", {"name": "Sale", "text": "", "ends_at": "2099-01-01T00:00:00Z"}, ["body", "text"]),
    ],
)
def test_an_invalid_field_is_named_the_same_way_by_schema_and_service(
    alice: User, path: str, body: dict[str, Any], place: list[str]
) -> None:
    answer = ApiClient(alice).post(path, body, content_type="application/json")
    assert answer.status_code == 422
    assert [item["loc"] for item in answer.json()["detail"]] == [place]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "n" * 201}, "Too long: at most 200 characters."),
        ({"name": ""}, "Too short: at least 1."),
        ({"audience": {"tags": ["t"] * 2000}}, "List should have at most"),
    ],
)
def test_length_error_is_given_in_characters(alice: User, fields: dict[str, Any], words: str) -> None:
    body = {"name": "Sale", "text": "Hi", "ends_at": "2099-01-01T00:00:00Z", **fields}
    answer = ApiClient(alice).post("/campaigns", body, content_type="application/json")
    assert answer.status_code == 422
    assert [item["msg"].startswith(words) for item in answer.json()["detail"]] == [True]


def test_an_invalid_parameter_is_named(alice: User) -> None:
    answer = ApiClient(alice).get("/contacts?limit=0")
    assert answer.status_code == 422
    assert [item["loc"] for item in answer.json()["detail"]] == [["query", "limit"]]


@pytest.mark.django_db
@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", "Basic YTpi"])
def test_a_401_names_the_scheme_that_would_be_taken(client: Client, header: str) -> None:
    answer = client.get("/api/v1/contacts", headers={"Authorization": header})
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/v2/contacts", "/api/"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_unknown_url_gets_json(method: str, path: str) -> None:
    answer = Client(enforce_csrf_checks=True).generic(method, path)
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/json")
    assert answer.json()["detail"]


@pytest.mark.parametrize("path", ["/users", "/tokens"])
def test_large_body_without_token_is_not_parsed(db: None, path: str) -> None:
    answer: Any = ApiClient().post(path, {f"field{number}": 1 for number in range(40_000)}, "application/json")
    assert answer.status_code == 413
    assert answer.json() == {"detail": "The request is too large: at most 16 KiB."}


def test_answer_has_at_most_ten_errors(alice: User) -> None:
    answer: Any = ApiClient(alice).post(
        "/contacts", {f"field{number}": 1 for number in range(40_000)}, "application/json"
    )
    assert answer.status_code == 422
    assert len(answer.json()["detail"]) == 10
    assert len(answer.content) < 5000
