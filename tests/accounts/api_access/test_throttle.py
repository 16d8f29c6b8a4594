"""Rate limits by token and by address over all processes, with few queries."""

import pytest
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.api_access import throttle
from accounts.models import ApiToken, RequestCount, User
from accounts.services import prune
from project.core import clock
from project.http.errors import TooManyRequests
from tests.conftest import ApiClient

pytestmark = pytest.mark.django_db


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock's seconds; a test can change them."""
    moment = [1_800_000_010.0]
    monkeypatch.setattr(clock, "seconds", lambda: moment[0])
    return moment


def test_requests_per_minute_of_a_token_are_limited(alice: User, settings: Settings, moment: list[float]) -> None:
    settings.API_RATE = 3
    client = ApiClient(alice)
    assert [client.get("/users/me").status_code for _ in range(3)] == [200, 200, 200]
    answer = client.get("/users/me")
    assert (answer.status_code, answer["Retry-After"]) == (429, str(60 - int(moment[0]) % 60))
    assert ApiClient(alice).get("/users/me").status_code == 200
    moment[0] += 60
    assert client.get("/users/me").status_code == 200


def test_requests_without_token_are_counted_by_address(monkeypatch: pytest.MonkeyPatch, moment: list[float]) -> None:
    monkeypatch.setattr(throttle, "MAX_PER_ADDRESS", 2)
    moment[0] += 600
    client = ApiClient()
    client.defaults["HTTP_AUTHORIZATION"] = "Bearer wrong"
    assert [client.get("/users/me").status_code for _ in range(3)] == [401, 401, 429]
    assert ApiClient().post("/tokens", {}, content_type="application/json").status_code == 429
    other = ApiClient()
    assert other.get("/users/me", REMOTE_ADDR="192.0.2.1").status_code == 401


def test_processes_share_their_counts(moment: list[float]) -> None:
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


def test_one_query_per_hundredth_of_the_limit(
    moment: list[float], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    process = throttle.Throttle()
    with django_assert_num_queries(2):
        for _ in range(20):
            process.spend("token 1", 1000)


def test_old_counts_are_deleted() -> None:
    RequestCount.objects.create(key="address 192.0.2.1", minute=1, requests=5)
    prune()
    assert not RequestCount.objects.exists()


def test_throttling_adds_no_queries_to_most_calls(
    alice: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client = ApiClient(alice)
    client.get("/users/me")
    assert ApiToken.objects.get().last_used_at
    with django_assert_num_queries(1):
        client.get("/users/me")
