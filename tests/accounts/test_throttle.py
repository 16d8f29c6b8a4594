"""Limits by token and by address, over all processes, at next to no cost."""

import pytest
from pytest_django import DjangoAssertNumQueries, Settings

from accounts import throttle
from accounts.models import ApiToken, Usage, User
from accounts.services import prune
from project import clock
from project.http import TooManyRequests
from tests.conftest import ApiClient

pytestmark = pytest.mark.django_db


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of the clock, to be changed."""
    told = [1_800_000_010.0]
    monkeypatch.setattr(clock, "seconds", lambda: told[0])
    return told


def test_a_token_has_so_many_requests_a_minute(alice: User, settings: Settings, moment: list[float]) -> None:
    settings.API_RATE = 3
    client = ApiClient(alice)
    assert [client.get("/users/me").status_code for _ in range(3)] == [200, 200, 200]
    answer = client.get("/users/me")
    assert (answer.status_code, answer["Retry-After"]) == (429, str(60 - int(moment[0]) % 60))
    assert ApiClient(alice).get("/users/me").status_code == 200
    moment[0] += 60
    assert client.get("/users/me").status_code == 200


def test_whoever_shows_no_token_is_counted_by_address(monkeypatch: pytest.MonkeyPatch, moment: list[float]) -> None:
    monkeypatch.setattr(throttle, "PER_ADDRESS", 2)
    moment[0] += 600
    client = ApiClient()
    client.defaults["HTTP_AUTHORIZATION"] = "Bearer wrong"
    assert [client.get("/users/me").status_code for _ in range(3)] == [401, 401, 429]
    assert ApiClient().post("/tokens", {}, content_type="application/json").status_code == 429
    other = ApiClient()
    assert other.get("/users/me", REMOTE_ADDR="192.0.2.1").status_code == 401


def test_processes_share_what_they_count(moment: list[float]) -> None:
    one, other = throttle.Throttle(), throttle.Throttle()
    allowed = 0
    for _ in range(1000):
        for process in (one, other):
            try:
                process.spend("token 1", 1000)
                allowed += 1
            except TooManyRequests:
                pass
    assert 1000 <= allowed <= 1020


def test_it_costs_a_query_for_each_hundredth_of_the_limit(
    moment: list[float], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    process = throttle.Throttle()
    with django_assert_num_queries(2):
        for _ in range(20):
            process.spend("token 1", 1000)


def test_yesterdays_counts_are_forgotten() -> None:
    Usage.objects.create(key="address 192.0.2.1", minute=1, requests=5)
    prune()
    assert not Usage.objects.exists()


def test_a_call_costs_as_many_queries_with_it(alice: User, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    client = ApiClient(alice)
    client.get("/users/me")
    assert ApiToken.objects.get().last_used_at
    with django_assert_num_queries(1):
        client.get("/users/me")
