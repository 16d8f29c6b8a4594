"""Answers to users and clients during a database outage or after an internal error."""

from typing import Any, NoReturn

import pytest
from django.db import OperationalError, connection
from django.test import Client

from accounts.models import User
from tests.conftest import ApiClient

MESSAGE = {"phone": "79031234567", "text": "Hi"}


def gone(*_query: Any) -> NoReturn:
    """Fail like a query while the database server is down."""
    raise OperationalError("server closed the connection unexpectedly")


@pytest.fixture
def visitor(alice: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(alice)
    return client


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "one"}], ids=["plain", "idempotent"])
def test_api_client_is_asked_to_retry(alice: User, headers: dict[str, str]) -> None:
    client = ApiClient(alice)
    client.raise_request_exception = False
    with connection.execute_wrapper(gone):
        answer = client.post("/messages", MESSAGE, "application/json", headers=headers)
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert "Try again" in answer.json()["detail"]


def test_user_sees_that_nothing_is_lost(visitor: Client) -> None:
    with connection.execute_wrapper(gone):
        answer = visitor.get("/campaigns/")
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert "Nothing is lost" in answer.content.decode()


def test_too_long_list_is_reported(visitor: Client) -> None:
    body = "phones=" + "79161234567%0A" * 700_000
    answer = visitor.post("/contacts/suppression/", body, "application/x-www-form-urlencoded")
    assert answer.status_code == 400
    assert "send less at a time" in answer.content.decode()


def test_get_of_a_post_only_url_shows_a_page(visitor: Client) -> None:
    answer = visitor.get("/contacts/1/deactivate/")
    assert (answer.status_code, answer["Allow"]) == (405, "POST")
    assert "belongs to a button" in answer.content.decode()


def test_internal_error_is_reported(visitor: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: Any) -> NoReturn:
        raise ZeroDivisionError

    monkeypatch.setattr("campaigns.pages.views.render", broken)
    answer = visitor.get("/campaigns/new/")
    assert answer.status_code == 500
    assert "Retry-After" not in answer
    assert "went wrong on our side" in answer.content.decode()
