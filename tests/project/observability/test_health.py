"""`/healthz` and `/readyz`."""

import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.db import Error, InterfaceError, OperationalError, connection
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from project.queue.broker import canary


@pytest.fixture(autouse=True)
def no_worker(db: None) -> None:
    cache.clear()


def test_the_process_answers_without_a_database_query(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(0):
        answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok"}


def test_without_a_worker_it_is_not_ready_and_says_so(client: Client) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"status": "not ready", "missing": ["worker"]}
    assert client.get("/readyz?exclude=worker").json() == {"status": "ready"}


def test_with_a_worker_that_completes_tasks_it_is_ready(client: Client) -> None:
    canary("host-1")
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ready"}


@pytest.mark.django_db(transaction=True)
def test_a_pending_migration_is_named(client: Client) -> None:
    canary("host-1")
    call_command("migrate", "sessions", "zero", verbosity=0)
    try:
        answer = client.get("/readyz")
    finally:
        call_command("migrate", "sessions", verbosity=0)
    assert answer.status_code == 503
    assert answer.json()["missing"] == ["migrations"]


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_a_database_that_is_away_is_named_and_nothing_is_measured(client: Client, error: type[Error]) -> None:
    def away(*_args: object) -> None:
        raise error("server closed the connection unexpectedly")

    with connection.execute_wrapper(away):
        ready, figures, alive = (client.get(path) for path in ("/readyz", "/metrics", "/healthz"))
    assert (ready.status_code, ready.json()["missing"]) == (503, ["database"])
    assert figures.status_code == 200
    names = [line.split("{")[0].split()[0] for line in figures.content.decode().splitlines() if line[0] != "#"]
    assert names == ["vestnik_build_info", "vestnik_database_up"]
    assert "vestnik_database_up 0.0" in figures.content.decode()
    assert alive.status_code == 200


def test_probes_need_no_sign_in(client: Client) -> None:
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_probes_work_by_address_and_plain_http(client: Client, settings: Settings, path: str) -> None:
    settings.ALLOWED_HOSTS = ["sms.example.org"]
    settings.SECURE_SSL_REDIRECT = True
    answer = client.get(path, headers={"Host": "10.0.0.7:8000"})
    assert answer.status_code == (503 if path == "/readyz" else 200)
    assert answer["X-Request-ID"]
    assert not answer.cookies
