"""The watchdog of a django-q2 cluster: restarts its process tree when it hangs, and leaves no orphans.

It also enqueues the sweeps, which re-create whatever the tree has lost.

django-q2 (read at 1.11) can stop for good when one of its idle workers is killed (its issue 23), and its main process
does not notice that its sentinel has died. So the tree runs in its own session, and the watchdog restarts the whole
tree when its canaries do not return.
"""

import gc
import math
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from datetime import UTC, datetime
from types import FrameType

import structlog
from django.db import connection
from django_q.cluster import Cluster

from project.core.clock import seconds
from project.queue.broker import (
    ALIVE_SECONDS,
    DB_OUTAGE_ERRORS,
    LANE_PREFIX,
    WORKER_VARIABLE,
    enqueue,
    stopping,
    worker_alive,
)

log = structlog.get_logger("vestnik.worker")

BEAT_SECONDS = 10.0
SWEEP_SECONDS = 30
STOP_SECONDS = 25.0
_COLLECT_AFTER = 100_000
_CANARY = "project.queue.canary"


class Watchdog:
    """Keeps one process tree running until it is asked to stop, and enqueues the sweeps (dotted paths)."""

    def __init__(self, *sweeps: str) -> None:
        self.sweeps = sweeps
        self.worker = f"{LANE_PREFIX}{uuid.uuid4().hex}"
        self.stop_requested = threading.Event()

    def run(self) -> None:
        """Start the tree, and restart it when it dies or hangs. Returns after SIGTERM or SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        while not self.stop_requested.is_set():
            tree = self._start()
            reason = self._watch(tree)
            if self.stop_requested.is_set():
                self._stop_tree(tree)
            else:
                log.error("worker tree restarted", reason=reason)
            self._kill_tree(tree)

    def _stop(self, signum: int, frame: FrameType | None) -> None:
        self.stop_requested.set()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, sys.argv[0], "worker", "--tree"]
        environment = {**os.environ, WORKER_VARIABLE: self.worker}
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment, start_new_session=True)  # noqa: S603

    def _watch(self, tree: subprocess.Popen[bytes]) -> str:
        """Wait until the tree fails or a stop is requested; return the failure, or an empty string."""
        next_beat_at, trusted_until, database_down = 0.0, time.monotonic() + ALIVE_SECONDS, True
        while not self.stop_requested.wait(0.2):
            if tree.poll() is not None:
                return f"main process ended with {tree.returncode}"
            if time.monotonic() < next_beat_at:
                continue
            next_beat_at = time.monotonic() + BEAT_SECONDS
            try:
                alive = self.beat(sweep_now=database_down)
                database_down = False
            except DB_OUTAGE_ERRORS as error:
                log.warning("database out of reach", error=str(error).strip())
                connection.close()
                alive = database_down = True
                next_beat_at = time.monotonic() + 1
            if alive:
                trusted_until = time.monotonic() + ALIVE_SECONDS
            elif time.monotonic() > trusted_until:
                return "no task completed"
        return ""

    def beat(self, *, sweep_now: bool = False) -> bool:
        """Enqueue a canary and the next sweeps; return whether canaries still return.

        After the start and after a database outage the sweep runs at once, because hints may have been lost.
        """
        enqueue(_CANARY, self.worker, lane=self.worker)
        for sweep in self.sweeps:
            enqueue(sweep, due=None if sweep_now else next_sweep())
        return worker_alive(self.worker)

    def _stop_tree(self, tree: subprocess.Popen[bytes]) -> None:
        """Ask the tree to stop, and let requests in flight finish."""
        tree.terminate()
        try:
            tree.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            log.warning("worker tree did not stop in time")

    def _kill_tree(self, tree: subprocess.Popen[bytes]) -> None:
        """Kill all remaining processes of the tree."""
        try:
            os.killpg(tree.pid, signal.SIGKILL)
        except ProcessLookupError:
            log.debug("worker tree has already ended")
        tree.wait()


def next_sweep() -> datetime:
    """Return the next half minute, the same for all watchdogs, so that equal hints are queued once."""
    return datetime.fromtimestamp(math.ceil(seconds() / SWEEP_SECONDS) * SWEEP_SECONDS, UTC)


def run_tree() -> None:
    """Run the django-q2 cluster as the watchdog's child, until SIGTERM or until the watchdog dies."""
    os.register_at_fork(after_in_child=_follow_parent)
    reduce_gc_work()
    cluster = Cluster()

    def stop(signum: int, frame: FrameType | None) -> None:
        stopping.value = True
        cluster.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cluster.start()
    _follow_parent()
    cluster.sentinel.join()


def reduce_gc_work() -> None:
    """Exclude long-lived objects from garbage collection, and collect less often.

    A sender creates and drops thousands of small objects per second, none of them in cycles; collecting them costs a
    tenth of its time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)


def _follow_parent() -> None:
    """End this process within a second after its parent has died."""
    parent = os.getppid()

    def follow() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=follow, daemon=True, name="follow-parent").start()
