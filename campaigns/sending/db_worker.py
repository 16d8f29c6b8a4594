"""The database worker does the database work of a send session, so that the network loop never waits for it.

It has three threads with a connection each, opened when needed. One leases messages, one reserves rates. The third does
everything else in the order of the calls, so an outcome is written before any snapshot that is requested later.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

import structlog
from django.db import connection
from django.db.models import F

from campaigns.gateways.registry import route_of
from campaigns.gateways.routing import Route
from campaigns.models import Run
from campaigns.sending import circuit_breaker
from campaigns.sending.buffer import SendableRun
from campaigns.sending.circuit_breaker import Permit
from campaigns.sending.decisions import Leased
from campaigns.sending.lease import delete_leases, lease
from campaigns.sending.rate_limit import Reservation, reserve
from project.core.clock import now
from project.core.clock import seconds as clock_seconds
from project.observability.metrics import meters
from project.queue.broker import DB_OUTAGE_ERRORS

log = structlog.get_logger("vestnik.sending")

_RETRY_PAUSE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Which runs may send, which have due messages, and whether the circuit breaker permits sending."""

    at: float = 0.0
    """When the reading began, by the monotonic clock."""
    permit: Permit | None = None
    """None if the circuit breaker was not asked."""
    sendable: list[SendableRun] = field(default_factory=list)
    due: list[SendableRun] = field(default_factory=list)


class LeasedFromRun(NamedTuple):
    """The messages leased from a run, and how many were requested."""

    run: SendableRun
    requested: int
    messages: list[Leased]


class DatabaseWorker:
    """Reads, leases and writes for the holder of `token`. What it can't write by `write_until` (monotonic) is lost.

    The rescuer takes back lost messages, and messages leased in a commit that seemed to fail, when their leases expire.
    """

    def __init__(self, gateway: str, token: UUID, write_until: float, executor: Executor | None = None) -> None:
        self.gateway, self.token = gateway, token
        self._route = Route(gateway)
        self._write_until = write_until
        self._threads = [] if executor else [_thread(name) for name in ("lease", "database", "rates")]
        executors: list[Executor] = [executor] * 3 if executor else [*self._threads]
        self._leasing, self._executor, self._reserving = executors
        self._writes: list[Future[None]] = []
        self._failed_runs: set[int] = set()
        self._consistent = True

    def take_snapshot(self, *, ask_circuit_breaker: bool) -> "Future[Snapshot]":
        """Find the runs that may send; ask the circuit breaker last."""
        return self._executor.submit(self._take_snapshot, ask_circuit_breaker)

    def lease(self, quotas: list[tuple[SendableRun, int]]) -> "Future[list[LeasedFromRun]]":
        """Lease up to the given number of messages from each run."""
        return self._leasing.submit(self._lease_all, quotas)

    def lease_one(self, runs: Iterable[SendableRun]) -> "Future[list[LeasedFromRun]]":
        """Lease one message: the one that has been due the longest."""
        ordered = sorted(runs, key=attrgetter("first_due"))
        return self._leasing.submit(self._lease_oldest, ordered)

    def reserve(self, rates: dict[str, float], ahead: float) -> "Future[dict[str, Reservation]]":
        """Reserve what becomes due at these rates within `ahead` seconds, all together."""
        return self._reserving.submit(lambda: reserve(rates, clock_seconds(), ahead))

    def write(self, job: Callable[..., None], *args: Any, **options: Any) -> None:
        """Run `job` later; repeat it while the database is unreachable."""
        self._writes = [write for write in self._writes if not write.done()]
        self._writes.append(self._executor.submit(self._write, lambda: job(*args, **options)))

    @property
    def writing(self) -> bool:
        """Whether a write is still pending."""
        return not all(write.done() for write in self._writes)

    def finish(self, *, all_settled: bool) -> None:
        """Wait until all work is done. Delete the token's leases unless it may still hold messages.

        `all_settled`: the holder has recorded or released every message that it received.
        """
        if all_settled:
            self.write(self._delete_leases)
        self.write(meters.flush)
        wait(self._writes)
        for thread in self._threads:
            thread.submit(_close_connection).result()
            thread.shutdown()

    def _take_snapshot(self, ask_circuit_breaker: bool) -> Snapshot:
        meters.flush_soon()
        at, moment = time.monotonic(), now()
        self._route = route_of(self.gateway)
        runs = Run.objects.sendable(self._route)
        rows = runs.values_list("pk", "campaign_id", "campaign__rate_limit", F("first_due"))
        sendable = [SendableRun(*row) for row in rows]
        due = [run for run in sendable if _is_due(run, moment) and run.id not in self._failed_runs]
        return Snapshot(at, circuit_breaker.permit(self.gateway) if ask_circuit_breaker else None, sendable, due)

    def _lease_all(self, quotas: list[tuple[SendableRun, int]]) -> list[LeasedFromRun]:
        """Lease from all runs in one transaction; if a run fails, in one transaction per run."""
        leased: dict[int, list[Leased]] = defaultdict(list)
        try:
            for message in lease({run.id: number for run, number in quotas}, self.token, self._route):
                leased[message.run_id].append(message)
            return [LeasedFromRun(run, number, leased[run.id]) for run, number in quotas]
        except Exception as error:
            # An error after the commit leaves leased messages that this worker does not know.
            self._consistent = False
            if isinstance(error, DB_OUTAGE_ERRORS):
                raise
            log.warning("batch lease failed, leasing per run", runs=[run.id for run, _ in quotas], exc_info=True)
            return [self._lease_from(run, number) for run, number in quotas]

    def _lease_from(self, run: SendableRun, number: int) -> LeasedFromRun:
        """Lease from one run; an error excludes it from this session and affects no other run."""
        try:
            return LeasedFromRun(run, number, lease({run.id: number}, self.token, self._route))
        except Exception as error:
            self._consistent = False
            if isinstance(error, DB_OUTAGE_ERRORS):
                raise
            log.exception("run failed", run=run.id, campaign=run.campaign_id)
            self._failed_runs.add(run.id)
            return LeasedFromRun(run, number, [])

    def _lease_oldest(self, runs: list[SendableRun]) -> list[LeasedFromRun]:
        results = []
        for run in runs:
            results.append(self._lease_from(run, 1))
            if results[-1].messages:
                break
        return results

    def _write(self, job: Callable[[], None]) -> None:
        while True:
            try:
                job()
            except DB_OUTAGE_ERRORS as error:
                log.warning("database out of reach", error=str(error).strip())
                if time.monotonic() > self._write_until:
                    break
                connection.close()
                time.sleep(_RETRY_PAUSE_SECONDS)
            except Exception:
                log.exception("outcomes not recorded")
                break
            else:
                return
        self._consistent = False

    def _delete_leases(self) -> None:
        if self._consistent:
            delete_leases(self.token)


def _thread(name: str) -> ThreadPoolExecutor:
    """A thread whose log lines carry the same ids as those of its starter."""
    bound = structlog.contextvars.get_contextvars()
    return ThreadPoolExecutor(1, name, lambda: structlog.contextvars.bind_contextvars(**bound))


def _close_connection() -> None:
    """Close the connection of the thread that runs this; passing `connection.close` would close the caller's."""
    connection.close()


def _is_due(run: SendableRun, moment: datetime) -> bool:
    return run.first_due is not None and run.first_due <= moment
