"""Slots among processes that fork from one, like those of a worker."""

import multiprocessing
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess

import pytest
from pytest_django import Settings

from project.queue.slots import Work, shared_file, slot
from tests.stack import wait_for

fork = multiprocessing.get_context("fork")
Worker = tuple[ForkProcess, Connection]


def hold(free: Connection) -> None:
    """A process that takes a slot, reports whether it got one, and keeps it until it is stopped."""
    with slot(Work.SEND) as got:
        free.send(got)
        free.recv()


@pytest.fixture
def start(settings: Settings) -> Iterator[Callable[[], Worker]]:
    """Start one of five workers."""
    settings.WORKERS = 5
    shared_file()
    workers: list[Worker] = []

    def new() -> Worker:
        here, there = fork.Pipe()
        process = fork.Process(target=hold, args=[there])
        process.start()
        workers.append((process, here))
        return workers[-1]

    yield new
    for process, _ in workers:
        process.kill()
        process.join()


def test_all_but_two_may_send(start: Callable[[], Worker]) -> None:
    assert [start()[1].recv() for _ in range(4)] == [True, True, True, False]


def test_one_may_deliver_beside_them(start: Callable[[], Worker]) -> None:
    assert all(start()[1].recv() for _ in range(3))
    with slot(Work.DELIVER) as got:
        assert got


def test_a_slot_is_free_again_when_its_holder_leaves_or_is_killed(start: Callable[[], Worker]) -> None:
    leaving, killed, _ = workers = [start() for _ in range(3)]
    assert all(connection.recv() for _, connection in workers)
    leaving[1].send("leave")
    wait_for(lambda: leaving[0].exitcode == 0, "the end of one")
    killed[0].kill()
    killed[0].join()
    assert [start()[1].recv() for _ in range(3)] == [True, True, False]
