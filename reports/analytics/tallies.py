"""Counting of tallies, the figures of reports, from the messages of each run. It runs apart from sending.

A run is counted when its counters have changed since the last count: soon after it ends, and from time to time while it
is active, so that counting takes at most a twentieth of one processor. Counting is idempotent. Tallies stay when the
messages are removed.

A large run is counted in steps. The unfinished count is saved after each step, so that the next task continues it. The
last step replaces the old tallies.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import structlog
from django.db import connection, transaction
from django.db.models import CharField, Exists, F, Func, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce

from campaigns.models import Message, Run
from campaigns.states import MessageStatus
from project.core.clock import now
from project.core.sql import execute, prefer_index_scans
from project.queue import broker
from project.queue.tasks import task
from reports.analytics.tally_builder import TallyBuilder
from reports.analytics.totals import add
from reports.models import CountState, Tally, Total

log = structlog.get_logger("vestnik.reports")

_ROUND_SECONDS: Final = 15.0
_STEP: Final = 50_000
_PAUSE_FACTOR: Final = 20
_MIN_INTERVAL: Final = timedelta(seconds=20)
_COUNTERS: Final = (*MessageStatus.values, "attempts", "parts")


def stale() -> QuerySet[Run]:
    """The runs whose tallies are out of date, each with the `mark` of its counters."""
    marked = Run.objects.annotate(
        mark=Func(*_COUNTERS, template="%(expressions)s", arg_joiner=" || ' ' || ", output_field=CharField())
    )
    current = CountState.objects.filter(run=OuterRef("pk"), mark=OuterRef("mark"), added=True)
    return marked.filter(~Exists(current))


def due() -> QuerySet[Run]:
    """Stale runs to count now, latest first, because users look at these."""
    counted_since_end = Q(counted_at__gte=Coalesce(OuterRef("finished_at"), F("counted_at")))
    recently_counted = CountState.objects.filter(counted_since_end, run=OuterRef("pk"), next_count_at__gt=now())
    return stale().filter(~Exists(recently_counted)).order_by("-pk")


def hint_count() -> None:
    """Enqueue counting if a run is due."""
    if due().exists():
        count_tallies.enqueue()


@task("reports.tasks.count_tallies")
def count_tallies() -> None:
    """Count runs that have changed."""
    count_due(lambda: bool(broker.stopping.value))


def count_due(stopping: Callable[[], bool]) -> None:
    """Count due runs for a limited time, and leave a hint for the rest."""
    until = time.monotonic() + _ROUND_SECONDS
    for run in due():
        counted = None
        while counted is None:
            if stopping() or time.monotonic() > until:
                count_tallies.enqueue()
                return
            counted = count_step(run)


def count_run(run: Run) -> bool:
    """Count a `stale` run completely; return whether all its messages still exist."""
    while (counted := count_step(run)) is None:
        pass
    return counted.complete


def count_step(run: Run) -> TallyBuilder | None:
    """Count the next messages of a `stale` run; after the last ones, save the tallies and return the builder.

    If messages of the run were removed, the old tallies stay.
    """
    began = time.monotonic()
    previous = CountState.objects.filter(pk=run.pk).values_list("draft", flat=True).first()
    builder = TallyBuilder(run.mark, run.total, now())  # type: ignore[attr-defined]
    if previous and previous.get("facets") == builder.facets:  # a former release counts fewer facets
        builder = TallyBuilder.of_json(previous)
    messages = Message.objects.filter(run=run, pk__gt=builder.reached)
    last = messages.order_by("pk").values_list("pk", flat=True)[_STEP - 1 : _STEP].first()
    with transaction.atomic():
        prefer_index_scans()
        builder.add(messages.filter(pk__lte=last) if last else messages)
    builder.seconds += time.monotonic() - began
    if last:
        builder.reached = last
    elif not builder.complete:
        log.warning("run not counted, for messages of it are gone", run=run.pk, messages=builder.seen, of=builder.total)
    _save(run, builder, previous, finished=last is None)
    return builder if last is None else None


@transaction.atomic
def _save(run: Run, builder: TallyBuilder, previous: dict[str, Any] | None, *, finished: bool) -> None:
    """Save the unfinished count, or its tallies; do nothing if another worker has changed `previous` meanwhile."""
    defaults = {"counted_at": builder.moment, "next_count_at": builder.moment}
    row, _is_new = CountState.objects.select_for_update().get_or_create(run=run.pk, defaults=defaults)
    if row.draft != previous or row.counted_at > builder.moment:
        return
    if finished:
        before = list(Tally.objects.filter(run=run.pk))
        rows = _tallies(run, builder) if builder.complete else before
        if builder.complete:
            Tally.objects.filter(run=run.pk).delete()
            Tally.objects.bulk_create(rows, batch_size=1000)
        add(run.campaign.owner_id, removed=before if row.added else [], added=rows)
        row.draft, row.added, row.mark, row.counted_at = None, True, builder.mark, builder.moment
        row.next_count_at = builder.moment + max(_MIN_INTERVAL, timedelta(seconds=builder.seconds) * _PAUSE_FACTOR)
    else:
        row.draft, row.next_count_at = builder.to_json(), builder.moment
    row.save()


@transaction.atomic
def invalidate_all() -> None:
    """Mark all runs to be counted again, and delete all totals."""
    if connection.vendor == "postgresql":
        execute(f"LOCK TABLE {CountState._meta.db_table} IN EXCLUSIVE MODE", [])
    CountState.objects.update(mark="", draft=None, added=False)
    Total.objects.all().delete()


def _tallies(run: Run, builder: TallyBuilder) -> list[Tally]:
    return [
        Tally(campaign_id=run.campaign_id, run=run.pk, facet=facet, hour=hour, value=value, **numbers)
        for (facet, hour, value), numbers in builder.cells.items()
    ]
