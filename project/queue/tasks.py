"""Background tasks, declared beside their code."""

from collections.abc import Callable
from datetime import datetime
from time import sleep
from typing import Any, Final, Generic, ParamSpec

import structlog
from django.db import connection
from django.utils.module_loading import autodiscover_modules

from project.queue.broker import DB_OUTAGE_ERRORS, enqueue

log = structlog.get_logger("vestnik.worker")

P = ParamSpec("P")
PATIENCE_SECONDS: Final = 25
TASKS: Final[dict[str, "Task[...]"]] = {}
"""Every task that has been declared, by name."""


class Task(Generic[P]):
    """A function that workers call. Calling it yourself does the same."""

    def __init__(self, name: str, function: Callable[P, None], *, periodic: bool) -> None:
        self.name, self.periodic, self._function = name, periodic, function
        self.__doc__ = function.__doc__

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Run it; if the database goes away meanwhile, enqueue it again as soon as the database is back."""
        try:
            self._function(*args, **kwargs)
        except DB_OUTAGE_ERRORS as error:
            log.warning("database out of reach", hint=self.name.rpartition(".")[2], error=str(error).strip())
            self._enqueue_when_back(*args)

    def enqueue(self, *args: Any, due: datetime | None = None) -> None:
        """Leave a hint; see `project.queue.broker.enqueue`."""
        enqueue(self.name, *args, due=due)

    def _enqueue_when_back(self, *args: Any) -> None:
        """Try for a while. A longer outage is noticed by the watchdogs, which then enqueue the periodic tasks."""
        for _ in range(PATIENCE_SECONDS):
            connection.close()
            try:
                return self.enqueue(*args)
            except DB_OUTAGE_ERRORS:
                sleep(1)
        return None


def task(name: str, *, periodic: bool = False) -> Callable[[Callable[P, None]], Task[P]]:
    """Declare a background task.

    `name` is the dotted path by which django-q2 finds it. Queues outlive a deployment, so a name never changes; when
    the code moves, the module of that name still exports the task. A `periodic` one runs twice a minute.
    """

    def declare(function: Callable[P, None]) -> Task[P]:
        declared = Task(name, function, periodic=periodic)
        TASKS[name] = declared
        return declared

    return declare


def periodic_tasks() -> list[str]:
    """The names of the periodic tasks of all apps; their `tasks` modules are imported for that."""
    autodiscover_modules("tasks")
    return sorted(name for name, declared in TASKS.items() if declared.periodic)
