"""Hints wait once each, are taken when they are due, and never get lost behind one that is being worked on."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from unittest.mock import Mock

import pytest
import time_machine
from django.db import OperationalError, connection, transaction
from django_q.models import OrmQ, Task
from django_q.monitor import save_task
from django_q.signing import SignedPackage

from project import queue
from project.queue import EtaBroker, enqueue, lasting

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LOOK = "campaigns.tasks.advance"


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "sleep", lambda seconds: None)


def waiting() -> list[tuple[object, ...]]:
    """The arguments of all hints, and in how many seconds they are due, in the order in which they are served."""
    return [(*row.task["args"], (row.lock - NOON).total_seconds()) for row in OrmQ.objects.order_by("lock", "pk")]


def take() -> tuple[int, tuple[object, ...]] | None:
    """What a worker would get: the row's id and the arguments."""
    taken = EtaBroker().dequeue()
    return (taken[0][0], SignedPackage.loads(taken[0][1])["args"]) if taken else None


@pytest.mark.django_db
class TestOneOfEach:
    def test_the_same_hint_waits_once(self, clock: time_machine.Traveller) -> None:
        for _ in range(100):
            enqueue(LOOK, 7)
        clock.shift(SECOND)
        enqueue(LOOK, 7)
        assert waiting() == [(7, 0)]

    def test_another_function_or_argument_is_another_hint(self, clock: time_machine.Traveller) -> None:
        for arguments in ((7,), (71,), (7,), ()):
            enqueue(LOOK, *arguments)
        enqueue("campaigns.tasks.send")
        assert len(waiting()) == 4

    def test_an_exact_start_is_not_lost_behind_a_later_hint(self, clock: time_machine.Traveller) -> None:
        enqueue(LOOK, 7, due=NOON + 60 * SECOND)
        enqueue(LOOK, 7, due=NOON + 10 * SECOND)
        enqueue(LOOK, 7)
        enqueue(LOOK, 7, due=NOON + 30 * SECOND)
        assert waiting() == [(7, 0), (7, 10), (7, 60)]

    def test_one_that_is_being_worked_on_does_not_swallow_the_next(self, clock: time_machine.Traveller) -> None:
        enqueue(LOOK, 7)
        worked_on = take()
        assert worked_on
        for due in (None, NOON + 60 * SECOND, None):
            enqueue(LOOK, 7, due=due)
        EtaBroker().acknowledge(worked_on[0])
        assert waiting() == [(7, 0)]

    def test_a_canary_waits_once_in_its_lane(self, clock: time_machine.Traveller) -> None:
        for lane in ("worker-1", "worker-2", "worker-1"):
            enqueue("project.queue.canary", lane, lane=lane)
        assert [row.key for row in OrmQ.objects.order_by("pk")] == ["worker-1", "worker-2"]

    def test_a_hint_rolls_back_with_its_transaction(self, clock: time_machine.Traveller) -> None:
        with transaction.atomic():
            enqueue(LOOK, 7)
            transaction.set_rollback(True)
        assert waiting() == []


@pytest.mark.django_db
class TestTaking:
    def test_nothing_is_taken_before_it_is_due(self, clock: time_machine.Traveller) -> None:
        enqueue(LOOK, 7, due=NOON + SECOND)
        assert take() is None
        clock.shift(SECOND)
        taken = take()
        assert taken
        assert taken[1] == (7,)

    def test_what_has_been_due_the_longest_comes_first(self, clock: time_machine.Traveller) -> None:
        for number in (2, 3, 1):
            enqueue(LOOK, number, due=NOON + number * SECOND)
        clock.shift(5 * SECOND)
        assert [taken[1] for taken in iter(take, None)] == [(1,), (2,), (3,)]

    def test_a_hint_whose_worker_died_comes_back(self, clock: time_machine.Traveller) -> None:
        enqueue(LOOK, 7)
        assert take()
        clock.shift(299 * SECOND)
        assert take() is None
        clock.shift(2 * SECOND)
        assert take()

    def test_the_lane_of_another_worker_is_not_touched(
        self, clock: time_machine.Traveller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        enqueue("project.queue.canary", "worker-2", lane="worker-2")
        monkeypatch.setenv(queue.WORKER_VARIABLE, "worker-1")
        assert take() is None
        monkeypatch.setenv(queue.WORKER_VARIABLE, "worker-2")
        assert take()


def done(number: int, *, success: bool) -> None:
    """As if a worker had done a task, the later the greater its number; the monitor records it."""
    moment = NOON + number * SECOND
    task = {
        "id": f"{number:032}",
        "name": f"task {number}",
        "func": LOOK,
        "args": (number,),
        "kwargs": {},
        "sync": True,
    }
    save_task({**task, "started": moment, "stopped": moment, "result": "", "success": success}, EtaBroker())


@pytest.mark.django_db
class TestPruning:
    def test_only_failures_leave_a_row(self) -> None:
        done(1, success=True)
        done(2, success=False)
        assert list(Task.objects.values_list("name", "success")) == [("task 2", False)]

    def test_the_latest_are_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(queue, "TASKS_KEPT", 3)
        for number in (5, 1, 4, 2, 3):
            done(number, success=False)
        queue.prune()
        queue.prune()
        assert sorted(Task.objects.values_list("name", flat=True)) == ["task 3", "task 4", "task 5"]

    def test_lanes_of_workers_that_are_gone_are_emptied(self, clock: time_machine.Traveller) -> None:
        enqueue("project.queue.canary", "worker-1", lane="worker-1")
        enqueue(LOOK, 7)
        clock.shift(timedelta(minutes=61))
        enqueue("project.queue.canary", "worker-2", lane="worker-2")
        queue.prune()
        assert [row.task["args"] for row in OrmQ.objects.order_by("pk")] == [(7,), ("worker-2",)]


@pytest.mark.django_db(transaction=True)
def test_a_waiting_hint_is_not_taken_before_the_change_it_now_stands_for_can_be_seen() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    enqueue(LOOK, 7)
    taken_at: list[float] = []

    def worker() -> None:
        try:
            while not take():
                time.sleep(0.01)
            taken_at.append(time.monotonic())
        finally:
            connection.close()

    with transaction.atomic():
        enqueue(LOOK, 7)
        thread = threading.Thread(target=worker)
        thread.start()
        thread.join(0.5)
        assert not taken_at
    thread.join(5)
    assert taken_at
    assert not OrmQ.objects.exclude(lock__gt=datetime.now(UTC)).exists()


@lasting
def broken(number: int) -> None:
    """A hint that meets a database which is gone."""
    raise OperationalError("server closed the connection unexpectedly")


@pytest.mark.django_db(transaction=True)
class TestAnOutageOfTheDatabase:
    def test_a_hint_that_fails_is_left_again_when_the_database_is_back(self, monkeypatch: pytest.MonkeyPatch) -> None:
        answers = iter([OperationalError("refused"), OperationalError("refused"), None])
        waits = EtaBroker.waits

        def soon_back(broker: EtaBroker) -> bool:
            if error := next(answers):
                raise error
            return waits(broker)

        monkeypatch.setattr(EtaBroker, "waits", soon_back)
        broken(7)
        (row,) = OrmQ.objects.all()
        assert (row.task["func"], row.task["args"]) == (f"{__name__}.broken", (7,))

    def test_one_that_fails_for_another_reason_has_failed(self) -> None:
        with pytest.raises(ZeroDivisionError):
            lasting(lambda: 1 // 0)()  # type: ignore[arg-type]
        assert not OrmQ.objects.exists()

    def test_the_pusher_survives_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        enqueue(LOOK, 7)
        with monkeypatch.context() as gone:
            gone.setattr(EtaBroker, "_take", Mock(side_effect=OperationalError("refused")))
            assert take() is None
        assert take()
