"""What people and programs are told when the database is away, or when it is our own fault."""

from typing import Any, NoReturn

import pytest
from django.db import OperationalError, connection
from django.test import Client

from accounts.models import User
from tests.conftest import ApiClient

MESSAGE = {"phone": "79031234567", "text": "Hi"}


def gone(*_query: Any) -> NoReturn:
    """Fail as every query does when the server is away."""
    raise OperationalError("server closed the connection unexpectedly")


@pytest.fixture
def visitor(alice: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(alice)
    return client


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "one"}], ids=["plain", "idempotent"])
def test_a_program_is_asked_to_try_again(alice: User, headers: dict[str, str]) -> None:
    client = ApiClient(alice)
    client.raise_request_exception = False
    with connection.execute_wrapper(gone):
        answer = client.post("/messages", MESSAGE, "application/json", headers=headers)
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert "try again" in answer.json()["detail"]


def test_a_person_is_told_that_nothing_is_lost(visitor: Client) -> None:
    with connection.execute_wrapper(gone):
        answer = visitor.get("/campaigns/")
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert "Nothing is lost" in answer.content.decode()


def test_a_list_too_long_to_be_read_is_called_so(visitor: Client) -> None:
    body = "phones=" + "79161234567%0A" * 700_000
    answer = visitor.post("/contacts/suppression/", body, "application/x-www-form-urlencoded")
    assert answer.status_code == 400
    assert "send less at once" in answer.content.decode()


def test_a_button_has_no_page_and_says_so(visitor: Client) -> None:
    answer = visitor.get("/contacts/1/deactivate/")
    assert (answer.status_code, answer["Allow"]) == (405, "POST")
    assert "belongs to a button" in answer.content.decode()


def test_our_own_fault_is_called_so(visitor: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: Any) -> NoReturn:
        raise ZeroDivisionError

    monkeypatch.setattr("campaigns.views.render", broken)
    answer = visitor.get("/campaigns/new/")
    assert answer.status_code == 500
    assert "Retry-After" not in answer
    assert "broke on our side" in answer.content.decode()
