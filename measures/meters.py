"""Counters, histograms and gauges that hold for all processes on all hosts.

A process keeps what it measures, and adds it to the shared rows once a second at most, whenever it has a moment
(`flush_soon`): measuring costs a dictionary's update. Whoever is killed takes a second's worth along.
"""

import json
import os
import socket
import time
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import timedelta
from threading import Lock
from typing import Final

import structlog
from django.db import Error
from django.db.models import Q
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from measures.models import Measure
from project import sql
from project.clock import now

log = structlog.get_logger("vestnik.measures")

FLUSH_SECONDS: Final = 1.0
PATIENCE_SECONDS: Final = 10.0
GAUGE_SECONDS: Final = timedelta(seconds=15)
_SUM: Final = "sum"

Series = tuple[str, ...]
Parts = Mapping[str, float]
"""What is known of a meter with certain labels: of a histogram its sum and the numbers in its buckets."""
METERS: Final[dict[str, "Meter"]] = {}


class Book:
    """What this process has measured and not yet added to the rows."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """A fork begins with nothing: its parent adds what it has measured itself."""
        self._lock = Lock()
        self._sums: defaultdict[Series, float] = defaultdict(float)
        self._held: dict[Series, float] = {}
        self.flush_at = 0.0

    def add(self, amounts: Mapping[Series, float]) -> None:
        """Count that much more."""
        with self._lock:
            for series, amount in amounts.items():
                self._sums[series] += amount

    def hold(self, series: Series, value: float) -> None:
        """Say what is true of this process now."""
        with self._lock:
            self._held[series] = value

    def flush(self) -> None:
        """Add it all to the rows. What the database does not take now, waits: measuring must break nothing."""
        with self._lock:
            sums, self._sums = self._sums, defaultdict(float)
            held = dict(self._held)
            # What is nought needs no more than to be told once.
            self._held = {series: value for series, value in held.items() if value}
            self.flush_at = time.monotonic() + FLUSH_SECONDS
        if not sums and not held:
            return
        try:
            _write(sums, held)
        except Error as error:
            log.warning("measures wait", error=str(error).strip())
            self.add(sums)
            self.flush_at = time.monotonic() + PATIENCE_SECONDS


_book = Book()
os.register_at_fork(after_in_child=_book.forget)


def flush() -> None:
    """Add what this process has measured to the rows, now; not inside a transaction, for others wait for the rows."""
    _book.flush()


def flush_soon() -> None:
    """The same, unless that was done less than a second ago."""
    if time.monotonic() >= _book.flush_at:
        _book.flush()


def prune() -> None:
    """Remove what processes that are gone said of themselves."""
    Measure.objects.filter(until__lt=now()).delete()


def _write(sums: Mapping[Series, float], held: Mapping[Series, float]) -> None:
    """One statement; rows in order, so that processes which write at once can't wait for each other."""
    source = f"{socket.gethostname()}:{os.getpid()}"
    until = str(sql.stamp(now() + GAUGE_SECONDS))
    rows: list[tuple[str, float, str | None]] = [(json.dumps(series), value, None) for series, value in sums.items()]
    rows += [(json.dumps((*series, source)), value, until) for series, value in held.items()]
    table = Measure._meta.db_table
    sql.execute(
        f"WITH {sql.table(Measure, 'fresh', ['series', 'value', 'until'])} "  # noqa: S608
        f"INSERT INTO {table} (series, value, until) SELECT series, value, until FROM fresh WHERE true ORDER BY series "
        "ON CONFLICT (series) DO UPDATE SET until = excluded.until, value = excluded.value + "
        f"CASE WHEN excluded.until IS NULL THEN {table}.value ELSE 0 END",
        sql.table_rows(rows),
    )


class Meter(ABC):
    """A name and a meaning, known to everyone, and labels by which it is told apart."""

    def __init__(self, name: str, meaning: str, labels: Iterable[str] = ()) -> None:
        self.name, self.meaning, self.labels = name, meaning, tuple(labels)
        METERS[name] = self

    @abstractmethod
    def family(self, known: Mapping[Series, Parts]) -> Metric:
        """What Prometheus reads of it, of all processes together; `known` by the labels' values."""


class Counter(Meter):
    """Something that is counted."""

    def add(self, *labels: str, number: float = 1) -> None:
        """Count it once, or so many times."""
        _book.add({(self.name, *labels, _SUM): number})

    def family(self, known: Mapping[Series, Parts]) -> Metric:
        """See `Meter`."""
        family = CounterMetricFamily(self.name, self.meaning, labels=self.labels)
        for labels, parts in (known or self._nothing()).items():
            family.add_metric(labels, sum(parts.values()))
        return family

    def _nothing(self) -> Mapping[Series, Parts]:
        """One without labels is nought before it is first counted."""
        return {} if self.labels else {(): {}}


class Gauge(Meter):
    """Something of which each process has so much now; told is the sum over those that are alive."""

    def set(self, *labels: str, value: float) -> None:
        """This process has so much, for the next seconds."""
        _book.hold((self.name, *labels), value)

    def family(self, known: Mapping[Series, Parts]) -> Metric:
        """See `Meter`."""
        family = GaugeMetricFamily(self.name, self.meaning, labels=self.labels)
        for labels, parts in known.items():
            family.add_metric(labels, sum(parts.values()))
        return family


class Histogram(Meter):
    """Durations in seconds, by upper bounds."""

    def __init__(self, name: str, meaning: str, labels: Iterable[str], bounds: Iterable[float]) -> None:
        super().__init__(name, meaning, labels)
        self.bounds = sorted(bounds)
        self._names = [*map(str, self.bounds), "+Inf"]

    def observe(self, *labels: str, seconds: Iterable[float]) -> None:
        """Take down how long each took."""
        durations = list(seconds)
        buckets = Tally(bisect_left(self.bounds, duration) for duration in durations)
        amounts: dict[Series, float] = {
            (self.name, *labels, self._names[bucket]): number for bucket, number in buckets.items()
        }
        _book.add({**amounts, (self.name, *labels, _SUM): sum(durations)})

    def family(self, known: Mapping[Series, Parts]) -> Metric:
        """See `Meter`."""
        family = HistogramMetricFamily(self.name, self.meaning, labels=self.labels)
        for labels, parts in known.items():
            reached, buckets = 0.0, []
            for name in self._names:
                reached += parts.get(name, 0)
                buckets.append((name, reached))
            family.add_metric(labels, buckets, parts.get(_SUM, 0))
        return family


def families() -> Iterable[Metric]:
    """All meters, as the rows have them now."""
    known: dict[str, defaultdict[Series, dict[str, float]]] = {name: defaultdict(dict) for name in METERS}
    alive = Measure.objects.filter(Q(until=None) | Q(until__gt=now()))
    for series, value in alive.values_list("series", "value"):
        name, *labels, part = json.loads(series)
        if name in known:
            known[name][tuple(labels)][part] = value
    return [meter.family(known[name]) for name, meter in METERS.items()]
