"""The clerk of a slice talks to the database, so that the network never waits for it.

It has two threads, each with a connection of its own. One leases. The other does the rest, in the order in which it is
asked: an outcome is written before the look that is asked for later.
"""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

import structlog
from django.db import connection, transaction

from campaigns.connections import route_of
from campaigns.models import Run
from campaigns.routing import Route
from campaigns.sending import breaker
from campaigns.sending.breaker import Permit
from campaigns.sending.lease import Leased, give_up, lease
from measures import meters
from project.clock import now
from project.queue import OUT_OF_REACH

log = structlog.get_logger("vestnik.sending")

_PATIENCE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class View:
    """What may leave, and what there is to send."""

    at: float = 0.0
    """When the look began, by the monotonic clock."""
    permit: Permit | None = None
    """None if the breaker was not asked."""
    sendable: list[Run] = field(default_factory=list)
    due: list[Run] = field(default_factory=list)


class Taken(NamedTuple):
    """What a run gave of the number that it was asked for."""

    run: Run
    asked: int
    messages: list[Leased]


class Clerk:
    """Looks, leases and writes for the holder of `token`; what it can't write by `write_until` (monotonic) is lost.

    What is lost, and what was leased without our knowing, the sweeper takes back when the leases run out.
    """

    def __init__(self, gateway: str, token: UUID, write_until: float, executor: Executor | None = None) -> None:
        self.gateway, self.token = gateway, token
        self._route = Route(gateway)
        self._write_until = write_until
        self._threads = [] if executor else [_thread(name) for name in ("lease", "clerk")]
        self._leasing: Executor = executor or self._threads[0]
        self._executor: Executor = executor or self._threads[1]
        self._writes: list[Future[None]] = []
        self._barred: set[int] = set()
        self._sound = True

    def look(self, *, ask_breaker: bool) -> "Future[View]":
        """See which runs may send, and ask the breaker last of all."""
        return self._executor.submit(self._look, ask_breaker)

    def lease(self, wishes: list[tuple[Run, int]]) -> "Future[list[Taken]]":
        """Take up to so many messages of each run."""
        return self._leasing.submit(self._take_all, wishes)

    def lease_one(self, runs: Iterable[Run]) -> "Future[list[Taken]]":
        """Take one message: the one that has been due the longest."""
        ordered = sorted(runs, key=attrgetter("first_due"))
        return self._leasing.submit(self._take_one, ordered)

    def write(self, job: Callable[..., None], *args: Any, **options: Any) -> None:
        """Have `job` done, again and again while the database is out of reach."""
        self._writes = [write for write in self._writes if not write.done()]
        self._writes.append(self._executor.submit(self._write, lambda: job(*args, **options)))

    @property
    def writing(self) -> bool:
        """Whether anything is still to be written."""
        return not all(write.done() for write in self._writes)

    def finish(self, *, accounted: bool) -> None:
        """Wait until everything is done, and give the token up unless there may be messages that it still holds.

        `accounted`: its holder has had recorded or released all that it was given.
        """
        if accounted:
            self.write(self._give_up)
        self.write(meters.flush)
        wait(self._writes)
        for thread in self._threads:
            thread.submit(_hang_up).result()
            thread.shutdown()

    def _look(self, ask_breaker: bool) -> View:
        meters.flush_soon()
        at, moment = time.monotonic(), now()
        self._route = route_of(self.gateway)
        sendable = list(Run.objects.sendable(self._route).select_related("campaign"))
        due = [run for run in sendable if _is_due(run, moment) and run.pk not in self._barred]
        return View(at, breaker.permit(self.gateway) if ask_breaker else None, sendable, due)

    def _take_all(self, wishes: list[tuple[Run, int]]) -> list[Taken]:
        """In one transaction, for a hundred small runs would cost a hundred; if one is in trouble, each in its own.

        Runs are counted in the order in which everyone counts them, or two transactions might wait for each other.
        """
        route, wishes = self._route, sorted(wishes, key=lambda wish: wish[0].pk)
        try:
            with transaction.atomic():
                return [Taken(run, number, lease(run, self.token, number, route)) for run, number in wishes]
        except Exception as error:
            # What went wrong after the commit has leased messages that nobody knows of.
            self._sound = False
            if isinstance(error, OUT_OF_REACH):
                raise
            log.warning("leasing one by one", runs=[run.pk for run, _ in wishes], exc_info=True)
            return [self._take(run, number) for run, number in wishes]

    def _take(self, run: Run, number: int) -> Taken:
        """A run that can't be leased from stops no other."""
        try:
            return Taken(run, number, lease(run, self.token, number, self._route))
        except Exception as error:
            self._sound = False
            if isinstance(error, OUT_OF_REACH):
                raise
            log.exception("run in trouble", run=run.pk, campaign=run.campaign_id)
            self._barred.add(run.pk)
            return Taken(run, number, [])

    def _take_one(self, runs: list[Run]) -> list[Taken]:
        taken = []
        for run in runs:
            taken.append(self._take(run, 1))
            if taken[-1].messages:
                break
        return taken

    def _write(self, job: Callable[[], None]) -> None:
        while True:
            try:
                job()
            except OUT_OF_REACH as error:
                log.warning("database out of reach", error=str(error).strip())
                if time.monotonic() > self._write_until:
                    break
                connection.close()
                time.sleep(_PATIENCE_SECONDS)
            except Exception:
                log.exception("outcomes not recorded")
                break
            else:
                return
        self._sound = False

    def _give_up(self) -> None:
        if self._sound:
            give_up(self.token)


def _thread(name: str) -> ThreadPoolExecutor:
    """A thread whose log lines carry the ids of who starts it."""
    bound = structlog.contextvars.get_contextvars()
    return ThreadPoolExecutor(1, name, lambda: structlog.contextvars.bind_contextvars(**bound))


def _hang_up() -> None:
    """Close the connection of the thread that does this; `connection.close` would be that of the thread that asks."""
    connection.close()


def _is_due(run: Run, moment: datetime) -> bool:
    """Whether a run that `sendable` found has a message whose time has come."""
    first_due: datetime | None = run.first_due  # type: ignore[attr-defined]
    return first_due is not None and first_due <= moment
