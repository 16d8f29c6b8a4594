"""The figures that reports are made of, counted from the messages of each run: beside sending, never within it.

A run is counted when its counters are no longer those that its tallies tell of: soon after it has ended, and now and
then while it goes on, so that counting takes a twentieth of one processor at most. Counting again changes nothing.
What is counted stays when the messages are removed.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from django.db import transaction
from django.db.models import CharField, Count, F, Func, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce, TruncHour

from campaigns.models import Message, MessageQuerySet, Run
from campaigns.states import MARKED, OPEN, MessageStatus
from project.clock import now
from project.queue import enqueue
from reports.models import Counted, Facet, Tally

log = structlog.get_logger("vestnik.reports")

COUNT: Final = "reports.tasks.count_tallies"
ENDED: Final = tuple(status for status in MessageStatus if status not in OPEN)
ACCEPTED: Final = (MessageStatus.SENT, MessageStatus.DELIVERED, MessageStatus.UNDELIVERED)
_WELL: Final = (MessageStatus.SENT, MessageStatus.DELIVERED)
_ROUND_SECONDS: Final = 15.0
_SHARE: Final = 20
_SOONEST: Final = timedelta(seconds=20)
_COUNTERS: Final = (*MessageStatus.values, "attempts", "parts")
_NUMBERS: Final = (Count("pk"), Sum("parts"))
_PREFIX: Final = Coalesce("phone", "contact__phone") / 10**7

Key = tuple[Facet, datetime, str]
Cells = dict[Key, dict[str, int]]


def stale() -> QuerySet[Run]:
    """The runs whose tallies are not what their counters tell, each with the `mark` of these counters."""
    counted = Counted.objects.filter(run=OuterRef("pk"))
    marked = Run.objects.annotate(
        mark=Func(*_COUNTERS, template="%(expressions)s", arg_joiner=" || ' ' || ", output_field=CharField()),
        told=Subquery(counted.values("mark")[:1]),
        counted_at=Subquery(counted.values("counted_at")[:1]),
        again_at=Subquery(counted.values("again_at")[:1]),
    )
    return marked.filter(Q(told=None) | ~Q(told=F("mark")))


def due() -> QuerySet[Run]:
    """Those of them that are to be counted now, the latest first, for people look at these."""
    waited = Q(told=None) | Q(again_at__lte=now()) | Q(finished_at__gt=F("counted_at"))
    return stale().filter(waited).order_by("-pk")


def hint_count() -> None:
    """Have counted what is due, if anything is."""
    if due().exists():
        enqueue(COUNT)


def count_due(stopping: Callable[[], bool]) -> None:
    """Count what is due for a while, and leave a hint for the rest."""
    until = time.monotonic() + _ROUND_SECONDS
    for run in due():
        if stopping() or time.monotonic() > until:
            enqueue(COUNT)
            return
        count_run(run)


def count_run(run: Run) -> bool:
    """Count the messages of one `stale` run anew; return whether its tallies are those of its messages now.

    Where messages of the run have been removed, what was counted before stays.
    """
    began, moment = time.monotonic(), now()
    cells: Cells = defaultdict(lambda: defaultdict(int))
    messages = Message.objects.filter(run=run)
    seen = _add_messages(cells, messages)
    # The counters were read before the messages, so these can only have become more, unless some were removed.
    there = seen >= run.total
    if there:
        _add_tags(cells, messages)
        _add_tries(cells, messages)
    else:
        log.warning("run not counted, for messages of it are gone", run=run.pk, messages=seen, of=run.total)
    took = timedelta(seconds=time.monotonic() - began)
    _write(run, cells if there else None, moment, again_at=moment + max(_SOONEST, took * _SHARE))
    return there


@transaction.atomic
def _write(run: Run, cells: Cells | None, moment: datetime, again_at: datetime) -> None:
    """Put the cells, if there are any, into the place of those that were; of two, who began later is right."""
    values = {"mark": run.mark, "counted_at": moment, "again_at": again_at}  # type: ignore[attr-defined]
    row, is_new = Counted.objects.select_for_update().get_or_create(run=run.pk, defaults=values)
    if not is_new and row.counted_at > moment:
        return
    Counted.objects.filter(run=run.pk).update(**values)
    if cells is None:
        return
    Tally.objects.filter(run=run.pk).delete()
    rows = (
        Tally(campaign_id=run.campaign_id, run=run.pk, facet=facet, hour=hour, value=value, **numbers)
        for (facet, hour, value), numbers in cells.items()
    )
    Tally.objects.bulk_create(rows, batch_size=1000)


def _add_messages(cells: Cells, messages: MessageQuerySet) -> int:
    """Add the messages to all facets but the tags, and return how many there are, those that wait included."""
    told = (TruncHour("changed_at", tzinfo=UTC), _PREFIX, "contact__timezone", "status", "reason")
    seen = 0
    for hour, prefix, zone, status, reason, number, parts in messages.order_by().values_list(*told).annotate(*_NUMBERS):
        seen += number
        if status not in OPEN:
            for facet, value in _facets(prefix, zone, reason if status not in _WELL else None):
                cell = cells[facet, hour, value]
                _add(cell, status, number, parts)
                # One that a person takes for sent is among the attempts that failed.
                cell["attempts"] += number if status in ACCEPTED and reason != MARKED else 0
    return seen


def _add_tags(cells: Cells, messages: MessageQuerySet) -> None:
    """Add the messages to the tags that their contacts have now."""
    ended = messages.filter(status__in=ENDED).order_by()
    told = (TruncHour("changed_at", tzinfo=UTC), "contact__taggings__tag__name", "status")
    for hour, tag, status, number, parts in ended.values_list(*told).annotate(*_NUMBERS):
        _add(cells[Facet.TAG, hour, tag or ""], status, number, parts)


def _add_tries(cells: Cells, messages: MessageQuerySet) -> None:
    """Add the attempts that failed."""
    failures = messages.filter(failures__isnull=False).order_by()
    told = (TruncHour("failures__at", tzinfo=UTC), _PREFIX, "contact__timezone", "failures__reason")
    for hour, prefix, zone, reason, number in failures.values_list(*told).annotate(Count("failures")):
        for facet, value in _facets(prefix, zone, reason):
            cells[facet, hour, value]["attempts"] += number
            cells[facet, hour, value]["tries"] += number


def _facets(prefix: int, zone: str | None, reason: str | None) -> Iterator[tuple[Facet, str]]:
    """Where a message or an attempt counts; `prefix` is the phone's first four digits."""
    yield Facet.WHOLE, ""
    yield Facet.OPERATOR, f"{prefix % 1000:03}"
    yield Facet.TIMEZONE, zone or ""
    if reason is not None:
        yield Facet.REASON, reason


def _add(cell: dict[str, int], status: str, number: int, parts: int) -> None:
    cell[status] += number
    cell["parts"] += parts if status in ACCEPTED else 0
