"""The watchdog over a django-q2 cluster: a tree of processes that must never be stuck, and never be orphaned.

It also has the sweep done regularly, the net under everything that the tree does.

django-q2 (read at 1.11) can stop for good when one of its idle workers is killed (its issue 23), and its main process
does not see its sentinel die. So the tree runs in a session of its own, proves itself alive by canaries, and is ended
and started again as a whole when it does not.
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

from project.clock import seconds
from project.queue import (
    ALIVE_SECONDS,
    LANE_PREFIX,
    OUT_OF_REACH,
    WORKER_VARIABLE,
    canary,
    enqueue,
    stopping,
    worker_alive,
)

log = structlog.get_logger("vestnik.worker")

BEAT_SECONDS = 10.0
SWEEP_SECONDS = 30
STOP_SECONDS = 25.0
_COLLECT_AFTER = 100_000
_CANARY = f"{canary.__module__}.{canary.__qualname__}"


class Watchdog:
    """Keeps one tree running until it is told to stop, and leaves a hint for each of the sweeps (dotted paths)."""

    def __init__(self, *sweeps: str) -> None:
        self.sweeps = sweeps
        self.worker = f"{LANE_PREFIX}{uuid.uuid4().hex}"
        self.told_to_stop = threading.Event()

    def run(self) -> None:
        """Start the tree, and again whenever it dies or shows no life; returns after SIGTERM or SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        while not self.told_to_stop.is_set():
            tree = self._start()
            reason = self._watch(tree)
            if self.told_to_stop.is_set():
                self._end_gently(tree)
            else:
                log.error("worker tree is started again", reason=reason)
            self._end(tree)

    def _stop(self, signum: int, frame: FrameType | None) -> None:
        self.told_to_stop.set()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, sys.argv[0], "worker", "--tree"]
        environment = {**os.environ, WORKER_VARIABLE: self.worker}
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment, start_new_session=True)  # noqa: S603

    def _watch(self, tree: subprocess.Popen[bytes]) -> str:
        """Wait until something is wrong, or a stop is asked for; return what is wrong."""
        beat_at, trusted_until, cut_off = 0.0, time.monotonic() + ALIVE_SECONDS, False
        while not self.told_to_stop.wait(0.2):
            if tree.poll() is not None:
                return f"main process ended with {tree.returncode}"
            if time.monotonic() < beat_at:
                continue
            beat_at = time.monotonic() + BEAT_SECONDS
            try:
                alive = self.beat(sweep_now=cut_off)
                cut_off = False
            except OUT_OF_REACH as error:
                log.warning("database out of reach", error=str(error).strip())
                connection.close()
                alive = cut_off = True
                beat_at = time.monotonic() + 1
            if alive:
                trusted_until = time.monotonic() + ALIVE_SECONDS
            elif time.monotonic() > trusted_until:
                return "no task completed"
        return ""

    def beat(self, *, sweep_now: bool = False) -> bool:
        """Leave a canary and the hints for the next sweeps, and tell whether canaries come back.

        When the database has been away, hints have failed, and what they were for must not wait for the next sweep.
        """
        enqueue(_CANARY, self.worker, lane=self.worker)
        for sweep in self.sweeps:
            enqueue(sweep, due=None if sweep_now else next_sweep())
        return worker_alive(self.worker)

    def _end_gently(self, tree: subprocess.Popen[bytes]) -> None:
        """Ask the tree to stop, and give what is in flight time to end."""
        tree.terminate()
        try:
            tree.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            log.warning("worker tree did not stop in time")

    def _end(self, tree: subprocess.Popen[bytes]) -> None:
        """Leave no process of the tree behind."""
        try:
            os.killpg(tree.pid, signal.SIGKILL)
        except ProcessLookupError:
            log.debug("worker tree is gone already")
        tree.wait()


def next_sweep() -> datetime:
    """The same moment for all watchdogs on all hosts, so that their hints are one."""
    return datetime.fromtimestamp(math.ceil(seconds() / SWEEP_SECONDS) * SWEEP_SECONDS, UTC)


def run_tree() -> None:
    """Run the django-q2 cluster as the watchdog's child, until SIGTERM or until the watchdog is gone."""
    os.register_at_fork(after_in_child=_follow_parent)
    spare_the_collector()
    cluster = Cluster()

    def stop(signum: int, frame: FrameType | None) -> None:
        stopping.value = True
        cluster.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cluster.start()
    _follow_parent()
    cluster.sentinel.join()


def spare_the_collector() -> None:
    """Keep the garbage collector from going through all that lives as long as the process, and from coming too often.

    A sender makes and drops thousands of small objects a second, none of them in cycles: that costs it a tenth.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)


def _follow_parent() -> None:
    """End this process within a second of its parent's death: a tree that lost its root is of no use to anyone."""
    parent = os.getppid()

    def follow() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=follow, daemon=True, name="follow-parent").start()
