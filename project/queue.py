"""Hints: small tasks that say "look at this now", carried by django-q2 through the database.

A hint may be lost, doubled or late without harm, for the rows that it points at are the truth. Two things are added to
django-q2's ORM broker: a due time, so that a campaign starts on the second, and a private lane for each worker, so that
a canary put into it proves that this very worker is alive.
"""

import os
from ctypes import c_bool
from datetime import datetime, timedelta
from multiprocessing.sharedctypes import RawValue
from time import sleep
from typing import Any

from django.core.cache import cache
from django.utils import timezone
from django_q.brokers.orm import ORM
from django_q.conf import Conf
from django_q.models import OrmQ
from django_q.tasks import async_task

WORKER_VARIABLE = "VESTNIK_WORKER"
LANE_PREFIX = "worker-"
CANARY_KEY = "worker-alive:{}"
ANY_WORKER = "any"
ALIVE_SECONDS = 60

stopping = RawValue(c_bool, False)
"""True in every process of a worker's tree once it is asked to stop. It has no lock, which the dead could hold."""


class EtaBroker(ORM):  # type: ignore[misc]  # django-q2 is not typed
    """The ORM broker with a due time for what it enqueues, the earliest due served first."""

    def __init__(self, list_key: str | None = None, due: datetime | None = None) -> None:
        super().__init__(list_key=list_key or Conf.CLUSTER_NAME)
        self.due = due

    def enqueue(self, task: str) -> int:
        """Store a packed task that nobody takes before it is due."""
        row = self.get_connection().create(key=self.list_key, payload=task, lock=self.due or timezone.now())
        return int(row.pk)

    def dequeue(self) -> list[tuple[int, str]] | None:
        """Take the task that has been due the longest, from the shared lane or this worker's own."""
        lanes = [lane for lane in (self.list_key, os.environ.get(WORKER_VARIABLE)) if lane]
        now = timezone.now()
        for task in self.get_connection().filter(key__in=lanes, lock__lte=now).order_by("lock", "pk")[: Conf.BULK]:
            taken = self.get_connection().filter(pk=task.pk, lock=task.lock).update(lock=self.timeout(task))
            if taken:
                return [(task.pk, task.payload)]
        sleep(Conf.POLL)
        return None


def enqueue(function: str, *args: Any, due: datetime | None = None, lane: str | None = None) -> None:
    """Leave a hint to call `function` (dotted path) with `args`, at once or when `due`.

    Inside a transaction the hint commits and rolls back with it, for it is a row of the same database.
    """
    async_task(function, *args, broker=EtaBroker(lane, due))


def canary(worker: str) -> None:
    """The task that proves a worker alive: it leaves a mark that fades after `ALIVE_SECONDS`."""
    for key in (worker, ANY_WORKER):
        cache.set(CANARY_KEY.format(key), timezone.now(), ALIVE_SECONDS)


def prune_lanes() -> None:
    """Remove what lies in the private lanes of workers that are gone."""
    OrmQ.objects.filter(key__startswith=LANE_PREFIX, lock__lt=timezone.now() - timedelta(hours=1)).delete()


def worker_alive(worker: str = ANY_WORKER) -> bool:
    """Whether that worker, or any, has completed a canary in the last `ALIVE_SECONDS`."""
    seen = cache.get(CANARY_KEY.format(worker))
    return seen is not None and timezone.now() - seen < timedelta(seconds=ALIVE_SECONDS)
