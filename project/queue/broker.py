"""Hints: background tasks that say "look at this now", carried by django-q2 through the database.

A hint may be lost, duplicated or late without harm, because the rows that it refers to are the truth. This module adds
three things to django-q2's ORM broker: a due time, so that a campaign starts on the second; a key per hint, so that
equal hints are queued once; and a private lane per worker, so that a canary proves that this particular worker is
alive.
"""

import os
import resource
import time
from ctypes import c_bool
from datetime import datetime, timedelta
from multiprocessing.sharedctypes import RawValue
from multiprocessing.util import Finalize
from time import sleep
from typing import Any, Final

import structlog
from django.conf import settings
from django.core.cache import cache
from django.core.signing import BadSignature, TimestampSigner
from django.db import InterfaceError, OperationalError, connection
from django.db.models import F, Q
from django.dispatch import receiver
from django_q.brokers.orm import ORM
from django_q.conf import Conf
from django_q.models import OrmQ, Task
from django_q.signals import post_execute_in_worker, post_spawn, pre_execute
from django_q.tasks import async_task

from project.core.clock import now
from project.observability.metrics import meters
from project.observability.metrics.meters import Histogram

log = structlog.get_logger("vestnik.worker")

WORKER_VARIABLE = "VESTNIK_WORKER"
LANE_PREFIX = "worker-"
CANARY_KEY = "worker-alive:{}"
ANY_WORKER = "any"
ALIVE_SECONDS = 60
TASKS_KEPT = 1000
DB_OUTAGE_ERRORS: Final = (OperationalError, InterfaceError)

TASK_WAIT: Final = Histogram(
    "vestnik_task_wait_seconds",
    "Time between the due time of a task and its start",
    ["task"],
    [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
)
TASK_SECONDS: Final = Histogram(
    "vestnik_task_seconds",
    "Duration of tasks by outcome",
    ["task", "outcome"],
    [0.01, 0.05, 0.1, 0.5, 1, 5, 20, 30, 60],
)

stopping = RawValue(c_bool, False)
"""True in every process of a worker's tree once it is asked to stop.

It has no lock, because a dead process could hold it.
"""


class TaskId(int):
    """The id that acknowledges a taken task, and the task's due time."""

    due: datetime


class EtaBroker(ORM):  # type: ignore[misc]  # django-q2 is not typed
    """The ORM broker with due times: the task that has been due longest comes first.

    Each hint of the shared queue has a key, which begins with the queue's name. A private lane has one key.
    """

    def __init__(self, list_key: str | None = None, due: datetime | None = None) -> None:
        super().__init__(list_key=list_key or Conf.CLUSTER_NAME)
        self.due = due

    def has_equal_hint(self) -> bool:
        """Whether an equal hint waits that is due no later, and make workers take it after this transaction only.

        A hint that is being executed does not count: its `lock` lies in the future, when it would be taken again.
        """
        rows = self.get_connection()
        # The update locks the row, so that the worker that takes it sees the changes of this transaction.
        return bool(rows.filter(key=self.list_key, lock__lte=self.due or now()).update(lock=F("lock")))

    def enqueue(self, task: str) -> int:
        """Store a packed task; no worker takes it before its due time."""
        row = self.get_connection().create(key=self.list_key, payload=task, lock=self.due or now())
        return int(row.pk)

    def dequeue(self) -> list[tuple[int, str]] | None:
        """Take the task that has been due longest, from the shared queue or this worker's lane.

        During a database outage the queue counts as empty; otherwise django-q2's pusher would sleep ten seconds and
        die.
        """
        try:
            task = self._take()
        except DB_OUTAGE_ERRORS as error:
            log.warning("database out of reach", error=str(error).strip())
            connection.close()
            task = None
        if task is None:
            sleep(Conf.POLL)
        return task and [task]

    def _take(self) -> tuple[int, str] | None:
        mine = Q(key__startswith=self.list_key) | Q(key=os.environ.get(WORKER_VARIABLE))
        rows, moment = self.get_connection(), now()
        for task in rows.filter(mine, lock__lte=moment).order_by("lock", "pk")[: Conf.BULK]:
            if rows.filter(pk=task.pk, lock=task.lock).update(lock=moment + timedelta(seconds=Conf.RETRY)):
                taken = TaskId(task.pk)
                taken.due = task.lock
                return taken, sign_with_current_key(task.payload)
        return None


def sign_with_current_key(task: str) -> str:
    """Return a packed task signed with the current SECRET_KEY, if a key of SECRET_KEY_FALLBACKS signed it.

    django-q2 verifies with one key only, and drops other tasks.
    """
    signer = TimestampSigner(salt=Conf.PREFIX)
    try:
        return signer.sign(signer.unsign(task))
    except BadSignature:
        return task  # for django-q2 to drop


def enqueue(function: str, *args: Any, due: datetime | None = None, lane: str | None = None) -> None:
    """Enqueue a hint to call `function` (dotted path) with `args`, now or when `due`, unless an equal one waits.

    Inside a transaction the hint commits and rolls back with it, because it is a row of the same database.
    """
    broker = EtaBroker(lane or ":".join([Conf.CLUSTER_NAME, function, *map(str, args)]), due)
    if not broker.has_equal_hint():
        async_task(function, *args, broker=broker)


@receiver(post_spawn)
def _spawned(**_signal: Any) -> None:
    """Limit the process's memory, and flush its metrics when it ends."""
    limit = settings.WORKER_MEMORY * 1024**2
    resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    Finalize(None, meters.flush, exitpriority=1)


@receiver(pre_execute)
def _begin(task: dict[str, Any], **_signal: Any) -> None:
    """Bind the task's name and id to its log lines, and record how long it waited."""
    structlog.contextvars.clear_contextvars()  # of the process's last task
    structlog.contextvars.bind_contextvars(task=task["func"], task_id=task["id"])
    task["began"] = time.monotonic()
    wait = now() - task["ack_id"].due
    TASK_WAIT.observe(task["func"], seconds=[max(0.0, wait.total_seconds())])
    meters.flush_soon()


@receiver(post_execute_in_worker)
def _end(task: dict[str, Any], **_signal: Any) -> None:
    """Record the duration. The next task flushes it, because a flush here would block the process."""
    outcome = "succeeded" if task["success"] else "failed"
    TASK_SECONDS.observe(task["func"], outcome, seconds=[time.monotonic() - task.pop("began")])


def other_tasks_due() -> bool:
    """Whether a hint of the shared queue is due and not taken, so that a long task should yield."""
    return bool(OrmQ.objects.filter(key__startswith=Conf.CLUSTER_NAME, lock__lte=now()).exists())


def canary(worker: str) -> None:
    """Record that this worker is alive (expires), and when any worker last was (does not expire)."""
    cache.set(CANARY_KEY.format(worker), now(), ALIVE_SECONDS)
    cache.set(CANARY_KEY.format(ANY_WORKER), now(), None)


def prune() -> None:
    """Delete tasks in the lanes of dead workers, and all but the latest stored tasks."""
    OrmQ.objects.filter(key__startswith=LANE_PREFIX, lock__lt=now() - timedelta(hours=1)).delete()
    kept = Task.objects.order_by("-stopped")[:TASKS_KEPT]
    Task.objects.exclude(pk__in=kept.values("pk")).delete()


def worker_alive(worker: str = ANY_WORKER) -> bool:
    """Whether that worker, or any, has completed a canary in the last `ALIVE_SECONDS`."""
    return is_alive(worker_seen(worker))


def is_alive(seen: datetime | None) -> bool:
    """Whether a worker that was last seen at that time counts as alive."""
    return seen is not None and now() - seen < timedelta(seconds=ALIVE_SECONDS)


def worker_seen(worker: str = ANY_WORKER) -> datetime | None:
    """Return when that worker, or any, last completed a canary; None if unknown."""
    seen: datetime | None = cache.get(CANARY_KEY.format(worker))
    return seen
