"""Hints: small tasks that say "look at this now", carried by django-q2 through the database.

A hint may be lost, doubled or late without harm, for the rows that it points at are the truth. Three things are added
to django-q2's ORM broker: a due time, so that a campaign starts on the second; a key for each hint, so that only one of
its kind waits; and a private lane for each worker, so that a canary in it proves that this very worker is alive.
"""

import os
import time
from collections.abc import Callable
from ctypes import c_bool
from datetime import datetime, timedelta
from functools import wraps
from multiprocessing.sharedctypes import RawValue
from multiprocessing.util import Finalize
from time import sleep
from typing import Any, Final, ParamSpec

import structlog
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

from measures import meters
from measures.meters import Histogram
from project.clock import now

log = structlog.get_logger("vestnik.worker")

WORKER_VARIABLE = "VESTNIK_WORKER"
LANE_PREFIX = "worker-"
CANARY_KEY = "worker-alive:{}"
ANY_WORKER = "any"
ALIVE_SECONDS = 60
TASKS_KEPT = 1000
OUT_OF_REACH: Final = (OperationalError, InterfaceError)
_PATIENCE_SECONDS: Final = 25

TASK_WAIT: Final = Histogram(
    "vestnik_task_wait_seconds",
    "How long after it was due a task began",
    ["task"],
    [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
)
TASK_SECONDS: Final = Histogram(
    "vestnik_task_seconds", "How long tasks took", ["task", "outcome"], [0.01, 0.05, 0.1, 0.5, 1, 5, 20, 30, 60]
)

P = ParamSpec("P")

stopping = RawValue(c_bool, False)
"""True in every process of a worker's tree once it is asked to stop. It has no lock, which the dead could hold."""


class Ticket(int):
    """The id by which a task that is taken is acknowledged, and the moment at which it was due."""

    due: datetime


class EtaBroker(ORM):  # type: ignore[misc]  # django-q2 is not typed
    """The ORM broker with a due time for what it enqueues, the earliest due served first.

    Hints of the shared queue have a key each, which begins with the queue's name; a private lane has but its own.
    """

    def __init__(self, list_key: str | None = None, due: datetime | None = None) -> None:
        super().__init__(list_key=list_key or Conf.CLUSTER_NAME)
        self.due = due

    def waits(self) -> bool:
        """Whether a task of this key waits already that is due no later, and is taken after this transaction only.

        One that is being worked on does not count: its lock lies ahead, at the time when it would be taken again.
        """
        rows = self.get_connection()
        # Writing locks the row, so that who takes it sees what this transaction has changed.
        return bool(rows.filter(key=self.list_key, lock__lte=self.due or now()).update(lock=F("lock")))

    def enqueue(self, task: str) -> int:
        """Store a packed task that nobody takes before it is due."""
        row = self.get_connection().create(key=self.list_key, payload=task, lock=self.due or now())
        return int(row.pk)

    def dequeue(self) -> list[tuple[int, str]] | None:
        """Take the task that has been due the longest, from the shared queue or this worker's own lane.

        While the database is out of reach there is none: django-q2's pusher would die of the error, for ten seconds.
        """
        try:
            task = self._take()
        except OUT_OF_REACH as error:
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
                ticket = Ticket(task.pk)
                ticket.due = task.lock
                return ticket, signed_today(task.payload)
        return None


def signed_today(task: str) -> str:
    """A packed task with the signature of SECRET_KEY, if one of SECRET_KEY_FALLBACKS has signed it.

    django-q2 knows but one key, and drops what another has signed.
    """
    signer = TimestampSigner(salt=Conf.PREFIX)
    try:
        return signer.sign(signer.unsign(task))
    except BadSignature:
        return task  # for django-q2 to drop


def enqueue(function: str, *args: Any, due: datetime | None = None, lane: str | None = None) -> None:
    """Leave a hint to call `function` (dotted path) with `args`, at once or when `due`, unless an equal one waits.

    Inside a transaction the hint commits and rolls back with it, for it is a row of the same database.
    """
    broker = EtaBroker(lane or ":".join([Conf.CLUSTER_NAME, function, *map(str, args)]), due)
    if not broker.waits():
        async_task(function, *args, broker=broker)


def lasting(hint: Callable[P, None]) -> Callable[P, None]:
    """Have a hint that fails because the database goes away left again as soon as it is back."""

    @wraps(hint)
    def outlast(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            hint(*args, **kwargs)
        except OUT_OF_REACH as error:
            log.warning("database out of reach", hint=hint.__name__, error=str(error).strip())
            _leave_again(f"{hint.__module__}.{hint.__qualname__}", *args)

    return outlast


def _leave_again(function: str, *args: Any) -> None:
    """Try for a while. What takes longer, a watchdog notices and asks for a sweep."""
    for _ in range(_PATIENCE_SECONDS):
        connection.close()
        try:
            return enqueue(function, *args)
        except OUT_OF_REACH:
            sleep(1)
    return None


@receiver(post_spawn)
def _spawned(**_signal: Any) -> None:
    """What the process measures is not lost when it ends."""
    Finalize(None, meters.flush, exitpriority=1)


@receiver(pre_execute)
def _begin(task: dict[str, Any], **_signal: Any) -> None:
    """Whatever a task logs carries its name and id."""
    structlog.contextvars.clear_contextvars()  # of the process's last task
    structlog.contextvars.bind_contextvars(task=task["func"], task_id=task["id"])
    task["began"] = time.monotonic()
    wait = now() - task["ack_id"].due
    TASK_WAIT.observe(task["func"], seconds=[max(0.0, wait.total_seconds())])
    meters.flush_soon()


@receiver(post_execute_in_worker)
def _end(task: dict[str, Any], **_signal: Any) -> None:
    """The process is held here, so it only takes down what it will tell when the next task begins."""
    outcome = "succeeded" if task["success"] else "failed"
    TASK_SECONDS.observe(task["func"], outcome, seconds=[time.monotonic() - task.pop("began")])


def others_wait() -> bool:
    """Whether a hint of the shared queue is due and not taken yet: who has worked for a while may give way to it."""
    return bool(OrmQ.objects.filter(key__startswith=Conf.CLUSTER_NAME, lock__lte=now()).exists())


def canary(worker: str) -> None:
    """The task that proves a worker alive: it leaves a mark of its own that fades, and one of all that stays."""
    cache.set(CANARY_KEY.format(worker), now(), ALIVE_SECONDS)
    cache.set(CANARY_KEY.format(ANY_WORKER), now(), None)


def prune() -> None:
    """Remove what lies in the private lanes of workers that are gone, and all but the latest of the tasks kept."""
    OrmQ.objects.filter(key__startswith=LANE_PREFIX, lock__lt=now() - timedelta(hours=1)).delete()
    kept = Task.objects.order_by("-stopped")[:TASKS_KEPT]
    Task.objects.exclude(pk__in=kept.values("pk")).delete()


def worker_alive(worker: str = ANY_WORKER) -> bool:
    """Whether that worker, or any, has completed a canary in the last `ALIVE_SECONDS`."""
    return is_alive(worker_seen(worker))


def is_alive(seen: datetime | None) -> bool:
    """Whether a worker that was last seen then counts as alive."""
    return seen is not None and now() - seen < timedelta(seconds=ALIVE_SECONDS)


def worker_seen(worker: str = ANY_WORKER) -> datetime | None:
    """When that worker last completed a canary, as long as it is remembered, or any ever did."""
    seen: datetime | None = cache.get(CANARY_KEY.format(worker))
    return seen
