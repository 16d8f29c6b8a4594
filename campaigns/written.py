"""When contacts were last written to: noted from the messages of runs, in batches, long after they have left.

Sending itself notes nothing, for it would write a row more for each message. So the note of a run that is being sent
is up to ten minutes old, and that of a finished one half a minute.
"""

import time
from datetime import timedelta
from typing import Final

from django.db import connection, transaction
from django.db.models import F, Q

from campaigns.models import Message, Run, RunQuerySet
from campaigns.states import MessageStatus
from directory.models import LastWritten
from project.clock import now
from project.queue import enqueue

NOTE: Final = "campaigns.tasks.note_written"
_ACCEPTED: Final = (MessageStatus.SENT, MessageStatus.DELIVERED, MessageStatus.UNDELIVERED)
_EVERY: Final = timedelta(minutes=10)
_AT_A_TIME: Final = 15.0
_BATCH: Final = 5000


def hint_note() -> None:
    """Have it noted what has been accepted since, if anything has."""
    if _to_note().exists():
        enqueue(NOTE)


def note_written() -> None:
    """Go through the runs that have more accepted messages than were noted, for a while."""
    until = time.monotonic() + _AT_A_TIME
    for run in _to_note():
        while _note(run):
            if time.monotonic() > until:
                enqueue(NOTE)
                return


def _to_note() -> RunQuerySet:
    """Runs with something to note, or in the middle of it."""
    waited = Q(noted_at=None) | Q(noted_at__lt=now() - _EVERY) | Q(finished_at__isnull=False)
    more = Q(noted__lt=F("sent") + F("delivered") + F("undelivered"))
    return Run.objects.filter(more & waited | Q(noted_to__gt=0), campaign__direct=False)


@transaction.atomic
def _note(run: Run) -> bool:
    """Note the next messages of a run; return whether there were any."""
    ahead = Message.objects.filter(run=run, pk__gt=run.noted_to).order_by("pk")
    ids = list(ahead.values_list("pk", flat=True)[:_BATCH])
    if run.noted_to == 0:
        run.noted, run.noted_at = run.sent + run.delivered + run.undelivered, now()
    if ids:
        _store(run, ids[-1])
    run.noted_to = ids[-1] if ids else 0
    run.save(update_fields=["noted", "noted_at", "noted_to"])
    return bool(ids)


def _store(run: Run, last: int) -> None:
    """One statement for all contacts whose message, up to the id `last`, was accepted."""
    messages, table = Message._meta.db_table, LastWritten._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (contact_id, at) "  # noqa: S608
            f"SELECT contact_id, max(coalesce(ended_at, changed_at)) FROM {messages} "
            "WHERE run_id = %s AND id > %s AND id <= %s AND contact_id IS NOT NULL AND status IN (%s, %s, %s) "
            "GROUP BY contact_id ORDER BY contact_id "
            f"ON CONFLICT (contact_id) DO UPDATE SET at = excluded.at WHERE {table}.at < excluded.at",
            [run.pk, run.noted_to, last, *_ACCEPTED],
        )
