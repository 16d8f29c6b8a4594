"""Hosts with different clocks share the database's time. Time travel simulates the other host."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from project.core import clock
from project.core.clock import Clock, now

HOUR = timedelta(hours=1)

pytestmark = pytest.mark.django_db


@pytest.fixture
def elsewhere() -> Iterator[datetime]:
    """The right time, on a host whose clock is an hour fast."""
    here = datetime.now(UTC)
    with time_machine.travel(here + HOUR):
        yield here


def test_host_with_a_wrong_clock_uses_the_database_time(elsewhere: datetime) -> None:
    error = timedelta() if connection.vendor == "postgresql" else HOUR  # SQLite uses the host's clock
    shown = datetime.fromtimestamp(Clock().seconds(), UTC)
    assert abs(shown - elsewhere - error) < timedelta(seconds=1)


def test_change_of_the_host_clock_is_corrected_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "STEP_SECONDS", 0.2)
    theirs, here = Clock(), datetime.now(UTC)
    theirs.seconds()
    with time_machine.travel(here + HOUR):
        error = timedelta() if connection.vendor == "postgresql" else HOUR
        shown = datetime.fromtimestamp(theirs.seconds(), UTC)
    assert abs(shown - here - error) < timedelta(seconds=1)


def test_the_moment_is_aware_and_to_the_microsecond() -> None:
    moment = datetime(2026, 6, 1, 12, 0, 0, 123456, tzinfo=UTC)
    with time_machine.travel(moment, tick=False):
        assert now() == moment


def test_reading_the_clock_costs_no_queries() -> None:
    ours = Clock()
    with CaptureQueriesContext(connection) as queries:
        times = [ours.seconds() for _ in range(1000)]
    assert len(queries) <= 3
    assert times == sorted(times)
    assert times[-1] == pytest.approx(time.time(), abs=1)
