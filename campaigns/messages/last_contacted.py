"""When contacts were last contacted: updated from the messages of runs, in batches, after sending.

Sending does not update it, because that would write another row per message. So it lags up to ten minutes behind an
active run, and half a minute behind a finished one. `contacted_since` finds what it lacks.
"""

import time
from datetime import datetime, timedelta
from typing import Final

from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Coalesce

from campaigns.models import Message, Run, RunQuerySet
from campaigns.states import ACCEPTED
from directory.models import LastContacted
from project.core.clock import now
from project.queue.tasks import task

_INTERVAL: Final = timedelta(minutes=10)
_MAX_SECONDS: Final = 15.0
_BATCH: Final = 5000
_HAS_NEW: Final = Q(contacted_messages__lt=F("sent") + F("delivered") + F("undelivered"))


def contacted_since(moment: datetime | None) -> Q | None:
    """Contacts with a message accepted since then (None: ever) that `LastContacted` may lack; None if it lacks none."""
    runs = list(Run.objects.planned().filter(_HAS_NEW | Q(contacted_to__gt=0)).values_list("pk", flat=True))
    if not runs:
        return None
    accepted = Message.objects.filter(contact=OuterRef("pk"), run__in=runs, status__in=ACCEPTED)
    if moment is not None:
        accepted = accepted.annotate(at=Coalesce("ended_at", "changed_at")).filter(at__gte=moment)
    return Q(Exists(accepted))


def hint_update() -> None:
    """Enqueue an update if messages were accepted since the last one."""
    if _outdated_runs().exists():
        update_last_contacted.enqueue()


@task("campaigns.tasks.note_written")
def update_last_contacted() -> None:
    """Update contacts from runs with new accepted messages, for a limited time."""
    until = time.monotonic() + _MAX_SECONDS
    for run in _outdated_runs():
        while _update_batch(run):
            if time.monotonic() > until:
                update_last_contacted.enqueue()
                return


def _outdated_runs() -> RunQuerySet:
    """Runs with new accepted messages, or with an unfinished update."""
    interval_passed = (
        Q(contacted_updated_at=None) | Q(contacted_updated_at__lt=now() - _INTERVAL) | Q(finished_at__isnull=False)
    )
    return Run.objects.planned().filter(_HAS_NEW & interval_passed | Q(contacted_to__gt=0))


@transaction.atomic
def _update_batch(run: Run) -> bool:
    """Process the next batch of a run; return whether there was one."""
    remaining = Message.objects.filter(run=run, pk__gt=run.contacted_to).order_by("pk")
    ids = list(remaining.values_list("pk", flat=True)[:_BATCH])
    if run.contacted_to == 0:
        run.contacted_messages, run.contacted_updated_at = run.sent + run.delivered + run.undelivered, now()
    if ids:
        _write(run, ids[-1])
    run.contacted_to = ids[-1] if ids else 0
    run.save(update_fields=["contacted_messages", "contacted_updated_at", "contacted_to"])
    return bool(ids)


def _write(run: Run, last: int) -> None:
    """Update all contacts whose message up to the id `last` was accepted, in one statement."""
    messages, table = Message._meta.db_table, LastContacted._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (contact_id, at) "  # noqa: S608
            f"SELECT contact_id, max(coalesce(ended_at, changed_at)) FROM {messages} "
            "WHERE run_id = %s AND id > %s AND id <= %s AND contact_id IS NOT NULL AND status IN (%s, %s, %s) "
            "GROUP BY contact_id ORDER BY contact_id "
            f"ON CONFLICT (contact_id) DO UPDATE SET at = excluded.at WHERE {table}.at < excluded.at",
            [run.pk, run.contacted_to, last, *ACCEPTED],
        )
