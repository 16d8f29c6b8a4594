"""The watchdog's beat. Tests of the whole program cover what it does to processes."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django_q.models import OrmQ, Schedule

from project.queue import broker
from project.queue.broker import EtaBroker, canary
from project.queue.watchdog import BEAT_SECONDS, SWEEP_SECONDS, Watchdog

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 24, 12, 0, 7, tzinfo=UTC)
SWEEP = "campaigns.tasks.sweep"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[time_machine.Traveller]:
    monkeypatch.setattr(broker, "sleep", lambda seconds: None)
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


def sweeps() -> int:
    """The number of due sweeps; takes and finishes them."""
    done = 0
    while taken := EtaBroker().dequeue():
        done += 1
        EtaBroker().acknowledge(taken[0][0])
    return done


@pytest.mark.parametrize("hosts", [1, 5])
def test_there_is_a_sweep_each_half_minute_however_many_watchdogs_there_are(
    clock: time_machine.Traveller, hosts: int
) -> None:
    watchdogs = [Watchdog(SWEEP) for _ in range(hosts)]
    done = 0
    for _ in range(60):
        for watchdog in watchdogs:
            watchdog.beat()
        clock.shift(timedelta(seconds=BEAT_SECONDS))
        done += sweeps()
    assert done == 60 * BEAT_SECONDS / SWEEP_SECONDS


def test_lost_sweep_is_repeated_at_the_next_half_minute(clock: time_machine.Traveller) -> None:
    Watchdog(SWEEP).beat()
    OrmQ.objects.all().delete()
    Watchdog(SWEEP).beat()
    clock.shift(timedelta(seconds=SWEEP_SECONDS))
    assert sweeps() == 1


def test_there_is_a_sweep_at_once_when_the_database_is_back(clock: time_machine.Traveller) -> None:
    Watchdog(SWEEP).beat(sweep_now=True)
    assert sweeps() == 1


def test_worker_is_alive_while_its_canaries_return(clock: time_machine.Traveller) -> None:
    watchdog = Watchdog(SWEEP)
    assert not watchdog.beat()
    canary(watchdog.worker)
    assert watchdog.beat()
    clock.shift(timedelta(seconds=61))
    assert not watchdog.beat()


def test_no_schedules_are_used() -> None:
    assert not Schedule.objects.exists()
