"""The figures that reports are made of, counted from the messages of each run: beside sending, never within it.

A run is counted when its counters are no longer those that its tallies tell of: soon after it has ended, and now and
then while it goes on, so that counting takes a twentieth of one processor at most. Counting again changes nothing.
What is counted stays when the messages are removed.

A large run is counted in steps. Its draft is kept after each, so that whoever comes next goes on from there, and only
the last step puts what was counted into the place of what was told before.
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
from project.clock import now
from project.queue import enqueue
from project.sql import execute, look_up
from reports.draft import Draft
from reports.models import Counted, Tally, Total
from reports.totals import add

log = structlog.get_logger("vestnik.reports")

COUNT: Final = "reports.tasks.count_tallies"
_ROUND_SECONDS: Final = 15.0
_STEP: Final = 50_000
_SHARE: Final = 20
_SOONEST: Final = timedelta(seconds=20)
_COUNTERS: Final = (*MessageStatus.values, "attempts", "parts")


def stale() -> QuerySet[Run]:
    """The runs whose tallies are not what their counters tell, each with the `mark` of these counters."""
    marked = Run.objects.annotate(
        mark=Func(*_COUNTERS, template="%(expressions)s", arg_joiner=" || ' ' || ", output_field=CharField())
    )
    true = Counted.objects.filter(run=OuterRef("pk"), mark=OuterRef("mark"), added=True)
    return marked.filter(~Exists(true))


def due() -> QuerySet[Run]:
    """Those of them that are to be counted now, the latest first, for people look at these."""
    since_its_end = Q(counted_at__gte=Coalesce(OuterRef("finished_at"), F("counted_at")))
    lately = Counted.objects.filter(since_its_end, run=OuterRef("pk"), again_at__gt=now())
    return stale().filter(~Exists(lately)).order_by("-pk")


def hint_count() -> None:
    """Have counted what is due, if anything is."""
    if due().exists():
        enqueue(COUNT)


def count_due(stopping: Callable[[], bool]) -> None:
    """Count what is due for a while, and leave a hint for the rest."""
    until = time.monotonic() + _ROUND_SECONDS
    for run in due():
        counted = None
        while counted is None:
            if stopping() or time.monotonic() > until:
                enqueue(COUNT)
                return
            counted = count_step(run)


def count_run(run: Run) -> bool:
    """Count a `stale` run to the end, and return whether its messages are all there."""
    while (counted := count_step(run)) is None:
        pass
    return counted.complete


def count_step(run: Run) -> Draft | None:
    """Count the next messages of a `stale` run; if they were the last, tell what was counted and return it.

    Where messages of the run have been removed, what was counted before stays.
    """
    began = time.monotonic()
    kept = Counted.objects.filter(pk=run.pk).values_list("draft", flat=True).first()
    draft = Draft.of_json(kept) if kept else Draft(run.mark, run.total, now())  # type: ignore[attr-defined]
    messages = Message.objects.filter(run=run, pk__gt=draft.reached)
    last = messages.order_by("pk").values_list("pk", flat=True)[_STEP - 1 : _STEP].first()
    with transaction.atomic():
        look_up()
        draft.add(messages.filter(pk__lte=last) if last else messages)
    draft.seconds += time.monotonic() - began
    if last:
        draft.reached = last
    elif not draft.complete:
        log.warning("run not counted, for messages of it are gone", run=run.pk, messages=draft.seen, of=draft.total)
    _keep(run, draft, kept, over=last is None)
    return draft if last is None else None


@transaction.atomic
def _keep(run: Run, draft: Draft, kept: dict[str, Any] | None, *, over: bool) -> None:
    """Keep the draft that was made of what was `kept`, or tell what it says; unless somebody else has been quicker."""
    begun = {"counted_at": draft.moment, "again_at": draft.moment}
    row, _is_new = Counted.objects.select_for_update().get_or_create(run=run.pk, defaults=begun)
    if row.draft != kept or row.counted_at > draft.moment:
        return
    if over:
        before = list(Tally.objects.filter(run=run.pk))
        rows = _tallies(run, draft) if draft.complete else before
        if draft.complete:
            Tally.objects.filter(run=run.pk).delete()
            Tally.objects.bulk_create(rows, batch_size=1000)
        add(run.campaign.owner_id, gone=before if row.added else [], come=rows)
        row.draft, row.added, row.mark, row.counted_at = None, True, draft.mark, draft.moment
        row.again_at = draft.moment + max(_SOONEST, timedelta(seconds=draft.seconds) * _SHARE)
    else:
        row.draft, row.again_at = draft.to_json(), draft.moment
    row.save()


@transaction.atomic
def distrust() -> None:
    """Have all runs counted anew, and all totals added up anew, whatever they say now."""
    if connection.vendor == "postgresql":
        execute(f"LOCK TABLE {Counted._meta.db_table} IN EXCLUSIVE MODE", [])
    Counted.objects.update(mark="", draft=None, added=False)
    Total.objects.all().delete()


def _tallies(run: Run, draft: Draft) -> list[Tally]:
    return [
        Tally(campaign_id=run.campaign_id, run=run.pk, facet=facet, hour=hour, value=value, **numbers)
        for (facet, hour, value), numbers in draft.cells.items()
    ]
