"""Counters, histograms and gauges over all processes on all hosts.

A process collects its measurements and adds them to the shared rows at most once a second, when it has time
(`flush_soon`). So a measurement only updates a dictionary. A killed process loses up to a second of measurements.
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

from project.core import sql
from project.core.clock import now
from project.observability.metrics.models import Measure

log = structlog.get_logger("vestnik.measures")

FLUSH_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 10.0
GAUGE_SECONDS: Final = timedelta(seconds=15)
_SUM: Final = "sum"

Series = tuple[str, ...]
Parts = Mapping[str, float]
"""The values of a meter with certain labels; of a histogram, its sum and the numbers in its buckets."""
METERS: Final[dict[str, "Meter"]] = {}


class Buffer:
    """Measurements of this process that are not yet in the rows."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Start empty after a fork; the parent writes its own measurements."""
        self._lock = Lock()
        self._sums: defaultdict[Series, float] = defaultdict(float)
        self._gauges: dict[Series, float] = {}
        self.flush_at = 0.0

    def add(self, amounts: Mapping[Series, float]) -> None:
        """Add to counters and histograms."""
        with self._lock:
            for series, amount in amounts.items():
                self._sums[series] += amount

    def set_gauge(self, series: Series, value: float) -> None:
        """Set a gauge of this process."""
        with self._lock:
            self._gauges[series] = value

    def flush(self) -> None:
        """Add everything to the rows. If the database is unreachable, keep it: metrics must break nothing."""
        with self._lock:
            sums, self._sums = self._sums, defaultdict(float)
            gauges = dict(self._gauges)
            # Zero needs to be reported only once.
            self._gauges = {series: value for series, value in gauges.items() if value}
            self.flush_at = time.monotonic() + FLUSH_SECONDS
        if not sums and not gauges:
            return
        try:
            _write(sums, gauges)
        except Error as error:
            log.warning("metrics not written", error=str(error).strip())
            self.add(sums)
            self.flush_at = time.monotonic() + RETRY_SECONDS


_buffer = Buffer()
os.register_at_fork(after_in_child=_buffer.clear)


def flush() -> None:
    """Add this process's measurements to the rows now. Not inside a transaction, because others wait for the rows."""
    _buffer.flush()


def flush_soon() -> None:
    """Flush, unless that happened within the last second."""
    if time.monotonic() >= _buffer.flush_at:
        _buffer.flush()


def prune() -> None:
    """Delete gauges of processes that have ended."""
    Measure.objects.filter(until__lt=now()).delete()


def _write(sums: Mapping[Series, float], gauges: Mapping[Series, float]) -> None:
    """Write with one statement. Rows are in order, so that concurrent processes can't deadlock."""
    source = f"{socket.gethostname()}:{os.getpid()}"
    until = str(sql.stamp(now() + GAUGE_SECONDS))
    rows: list[tuple[str, float, str | None]] = [(json.dumps(series), value, None) for series, value in sums.items()]
    rows += [(json.dumps((*series, source)), value, until) for series, value in gauges.items()]
    table = Measure._meta.db_table
    sql.execute(
        f"WITH {sql.table(Measure, 'fresh', ['series', 'value', 'until'])} "  # noqa: S608
        f"INSERT INTO {table} (series, value, until) SELECT series, value, until FROM fresh WHERE true ORDER BY series "
        "ON CONFLICT (series) DO UPDATE SET until = excluded.until, value = excluded.value + "
        f"CASE WHEN excluded.until IS NULL THEN {table}.value ELSE 0 END",
        sql.table_rows(rows),
    )


class Meter(ABC):
    """A named metric with a description and labels."""

    def __init__(self, name: str, meaning: str, labels: Iterable[str] = ()) -> None:
        self.name, self.meaning, self.labels = name, meaning, tuple(labels)
        METERS[name] = self

    @abstractmethod
    def family(self, values: Mapping[Series, Parts]) -> Metric:
        """Return the metric for Prometheus, summed over all processes. `values` is keyed by label values."""


class Counter(Meter):
    """A number of occurrences."""

    def add(self, *labels: str, number: float = 1) -> None:
        """Count one or more occurrences."""
        _buffer.add({(self.name, *labels, _SUM): number})

    def family(self, values: Mapping[Series, Parts]) -> Metric:
        """See `Meter`."""
        family = CounterMetricFamily(self.name, self.meaning, labels=self.labels)
        for labels, parts in (values or self._zero()).items():
            family.add_metric(labels, sum(parts.values()))
        return family

    def _zero(self) -> Mapping[Series, Parts]:
        """Return zero for a counter without labels that was never used."""
        return {} if self.labels else {(): {}}


class Gauge(Meter):
    """A value of each process. The metric is the sum over all live processes."""

    def set(self, *labels: str, value: float) -> None:
        """Set the value of this process; it is valid for some seconds."""
        _buffer.set_gauge((self.name, *labels), value)

    def family(self, values: Mapping[Series, Parts]) -> Metric:
        """See `Meter`."""
        family = GaugeMetricFamily(self.name, self.meaning, labels=self.labels)
        for labels, parts in values.items():
            family.add_metric(labels, sum(parts.values()))
        return family


class Histogram(Meter):
    """Durations in seconds, in buckets by upper bounds."""

    def __init__(self, name: str, meaning: str, labels: Iterable[str], bounds: Iterable[float]) -> None:
        super().__init__(name, meaning, labels)
        self.bounds = sorted(bounds)
        self._names = [*map(str, self.bounds), "+Inf"]

    def observe(self, *labels: str, seconds: Iterable[float]) -> None:
        """Record durations."""
        durations = list(seconds)
        buckets = Tally(bisect_left(self.bounds, duration) for duration in durations)
        amounts: dict[Series, float] = {
            (self.name, *labels, self._names[bucket]): number for bucket, number in buckets.items()
        }
        _buffer.add({**amounts, (self.name, *labels, _SUM): sum(durations)})

    def mean(self, *labels: str, at_least: int) -> float | None:
        """Return the average seconds over all processes; None if fewer than `at_least` were observed."""
        series = {json.dumps((self.name, *labels, part)): part for part in (*self._names, _SUM)}
        parts = {series[key]: value for key, value in Measure.objects.filter(pk__in=series).values_list("pk", "value")}
        total, number = parts.pop(_SUM, 0.0), sum(parts.values())
        return total / number if number >= at_least else None

    def family(self, values: Mapping[Series, Parts]) -> Metric:
        """See `Meter`."""
        family = HistogramMetricFamily(self.name, self.meaning, labels=self.labels)
        for labels, parts in values.items():
            cumulative, buckets = 0.0, []
            for name in self._names:
                cumulative += parts.get(name, 0)
                buckets.append((name, cumulative))
            family.add_metric(labels, buckets, parts.get(_SUM, 0))
        return family


def families() -> Iterable[Metric]:
    """Return all metrics from the rows."""
    values: dict[str, defaultdict[Series, dict[str, float]]] = {name: defaultdict(dict) for name in METERS}
    current = Measure.objects.filter(Q(until=None) | Q(until__gt=now()))
    for series, value in current.values_list("series", "value"):
        name, *labels, part = json.loads(series)
        if name in values:
            values[name][tuple(labels)][part] = value
    return [meter.family(values[name]) for name, meter in METERS.items()]
