"""Two hosts whose clocks differ share one time: that of the database. The other host is a journey in time."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from project import clock
from project.clock import Clock, now

HOUR = timedelta(hours=1)

pytestmark = pytest.mark.django_db


@pytest.fixture
def elsewhere() -> Iterator[datetime]:
    """On a host whose clock is an hour fast; the right time."""
    here = datetime.now(UTC)
    with time_machine.travel(here + HOUR):
        yield here


def test_a_host_whose_clock_is_wrong_tells_the_time_of_the_database(elsewhere: datetime) -> None:
    error = timedelta() if connection.vendor == "postgresql" else HOUR  # SQLite is on the host, and has its clock
    told = datetime.fromtimestamp(Clock().seconds(), UTC)
    assert abs(told - elsewhere - error) < timedelta(seconds=1)


def test_a_host_whose_clock_is_set_tells_the_time_of_the_database_all_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "STEP_SECONDS", 0.2)
    theirs, here = Clock(), datetime.now(UTC)
    theirs.seconds()
    with time_machine.travel(here + HOUR):
        error = timedelta() if connection.vendor == "postgresql" else HOUR
        told = datetime.fromtimestamp(theirs.seconds(), UTC)
    assert abs(told - here - error) < timedelta(seconds=1)


def test_the_moment_is_aware_and_to_the_microsecond() -> None:
    moment = datetime(2026, 6, 1, 12, 0, 0, 123456, tzinfo=UTC)
    with time_machine.travel(moment, tick=False):
        assert now() == moment


def test_looking_often_costs_no_queries() -> None:
    ours = Clock()
    with CaptureQueriesContext(connection) as queries:
        times = [ours.seconds() for _ in range(1000)]
    assert len(queries) <= 3
    assert times == sorted(times)
    assert times[-1] == pytest.approx(time.time(), abs=1)
