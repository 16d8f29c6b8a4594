"""Hints are queued once each, taken when due, and never lost behind a running one."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pydoc import locate
from unittest.mock import Mock

import pytest
import time_machine
from django.db import OperationalError, connection, transaction
from django_q.models import OrmQ, Task
from django_q.monitor import save_task
from django_q.signing import SignedPackage

from project.queue import broker as queue
from project.queue.broker import EtaBroker, enqueue
from project.queue.tasks import TASKS, periodic_tasks, task

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
    """The arguments of all hints with the seconds until they are due, in order."""
    return [(*row.task["args"], (row.lock - NOON).total_seconds()) for row in OrmQ.objects.order_by("lock", "pk")]


def take() -> tuple[int, tuple[object, ...]] | None:
    """The row's id and the arguments that a worker would get."""
    taken = EtaBroker().dequeue()
    return (taken[0][0], SignedPackage.loads(taken[0][1])["args"]) if taken else None


@pytest.mark.django_db
class TestEqualHints:
    def test_equal_hint_is_queued_once(self, clock: time_machine.Traveller) -> None:
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

    def test_running_hint_does_not_absorb_the_next(self, clock: time_machine.Traveller) -> None:
        enqueue(LOOK, 7)
        worked_on = take()
        assert worked_on
        for due in (None, NOON + 60 * SECOND, None):
            enqueue(LOOK, 7, due=due)
        EtaBroker().acknowledge(worked_on[0])
        assert waiting() == [(7, 0)]

    def test_canary_is_queued_once_in_its_lane(self, clock: time_machine.Traveller) -> None:
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

    def test_longest_due_task_comes_first(self, clock: time_machine.Traveller) -> None:
        for number in (2, 3, 1):
            enqueue(LOOK, number, due=NOON + number * SECOND)
        clock.shift(5 * SECOND)
        assert [taken[1] for taken in iter(take, None)] == [(1,), (2,), (3,)]

    def test_hint_of_a_dead_worker_is_taken_again(self, clock: time_machine.Traveller) -> None:
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
    """Record a finished task like django-q2's monitor; a greater number is later."""
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

    def test_latest_failures_are_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
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


@task(f"{__name__}.broken")
def broken(number: int) -> None:
    """A hint during a database outage."""
    raise OperationalError("server closed the connection unexpectedly")


@task(f"{__name__}.wrong")
def wrong() -> None:
    """A task with a bug."""
    raise ZeroDivisionError


def test_every_task_is_found_by_its_public_name() -> None:
    assert periodic_tasks() == ["campaigns.tasks.sweep", "reports.tasks.sweep"]
    assert {
        "accounts.webhooks.tasks.deliver",
        *(
            f"campaigns.tasks.{name}"
            for name in ("advance", "apply_receipts", "forget_messages", "note_written", "send")
        ),
        *("directory.tasks.bulk", "directory.tasks.work_on_import"),
        *("reports.tasks.count_tallies", "reports.tasks.send_reports"),
    } <= TASKS.keys()
    assert {name: locate(name) for name in TASKS} == TASKS


@pytest.mark.django_db(transaction=True)
class TestAnOutageOfTheDatabase:
    def test_hint_is_enqueued_again_after_a_database_outage(self, monkeypatch: pytest.MonkeyPatch) -> None:
        answers = iter([OperationalError("refused"), OperationalError("refused"), None])
        has_equal_hint = EtaBroker.has_equal_hint

        def soon_back(broker: EtaBroker) -> bool:
            if error := next(answers):
                raise error
            return has_equal_hint(broker)

        monkeypatch.setattr(EtaBroker, "has_equal_hint", soon_back)
        broken(7)
        (row,) = OrmQ.objects.all()
        assert (row.task["func"], row.task["args"]) == (f"{__name__}.broken", (7,))

    def test_hint_with_another_error_fails(self) -> None:
        with pytest.raises(ZeroDivisionError):
            wrong()
        assert not OrmQ.objects.exists()

    def test_pusher_survives_a_database_outage(self, monkeypatch: pytest.MonkeyPatch) -> None:
        enqueue(LOOK, 7)
        with monkeypatch.context() as gone:
            gone.setattr(EtaBroker, "_take", Mock(side_effect=OperationalError("refused")))
            assert take() is None
        assert take()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not count this memory")
def test_a_task_that_needs_too_much_memory_fails_and_its_process_lives_on() -> None:
    """Run in another process, because the limit can't be reverted."""
    program = """
import django
django.setup()
from project.queue.broker import post_spawn
post_spawn.send(sender="test", proc_name="test")
try:
    bytearray(400 * 1024**2)
except MemoryError:
    print("refused")
print(len(bytearray(50 * 1024**2)))
"""
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "WORKER_MEMORY": "256"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["refused", str(50 * 1024**2)], done.stderr
