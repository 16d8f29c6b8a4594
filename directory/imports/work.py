"""An import at work: a batch after the other, each in one transaction with the record of how far it came.

So a worker may die at any moment, and another goes on from the last batch; two at once take turns.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from tempfile import TemporaryFile
from typing import Any, Final

import structlog
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils import translation
from django.utils.timezone import now

from directory.imports import columns, files, services, workbooks
from directory.imports.models import AT_WORK, PIECE, Batch, Import, ImportStatus, Piece, SetAside
from directory.imports.undo import undo_batch
from directory.models import Source
from directory.services import NOT_YOURS
from directory.upsert import Outcome, Policy, Prepared, Result, contacts_prepare, contacts_write
from project.queue import others_wait

log = structlog.get_logger("vestnik.imports")

SLICE_SECONDS: Final = 20.0
GIVE_WAY_SECONDS: Final = 2.0
BATCH: Final = 5000
_LISTED: Final = (Outcome.REJECTED, Outcome.LEFT_ALONE)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """Rows of a file, and what they tell: those with the numbers `told` stand in `contacts`."""

    rows: list[files.Row]
    contacts: Prepared
    told: list[int]
    rejected: dict[int, Result]


class Turn:
    """How long a worker stays with an import: for a slice, or until something else is due, like a campaign's start."""

    def __init__(self, stopping: Callable[[], bool]) -> None:
        self.stopping, self.since = stopping, time.monotonic()

    def lasts(self) -> bool:
        """Whether there is time for another batch."""
        worked = time.monotonic() - self.since
        return not self.stopping() and worked < SLICE_SECONDS and (worked < GIVE_WAY_SECONDS or not others_wait())


def import_advance(pk: int, stopping: Callable[[], bool]) -> None:
    """Work on an import for a slice of time, and leave a hint if it is not over then, and nobody else is at it."""
    row = Import.objects.select_related("owner").filter(pk=pk, status__in=AT_WORK).first()
    if row is None:
        return
    with translation.override(row.owner.language):  # reasons are kept as people read them
        try:
            ours = _STEPS[row.status](row, stopping)
        except ValidationError as error:
            ours = _fail(row, " ".join(error.messages))
    if ours and Import.objects.filter(pk=pk, status__in=AT_WORK).exists():
        services.hint(pk)


def _fail(row: Import, error: str) -> bool:
    """The file can't be understood; what was written of it before stays, and can be undone. Nothing is left to do."""
    Import.objects.filter(pk=row.pk, status__in=AT_WORK).update(
        status=ImportStatus.FAILED, error=error[:500], finished_at=now()
    )
    Piece.objects.filter(of=row).delete()
    log.info("import failed", id=row.pk)
    return False


def _read_workbook(row: Import, stopping: Callable[[], bool]) -> bool:
    """Make a workbook into CSV; whoever is second finds it done."""
    with TemporaryFile() as original, TemporaryFile() as text:
        for content in row.pieces.order_by("number").values_list("content", flat=True).iterator(4):
            original.write(content)
        for part in workbooks.to_csv(original):
            text.write(part)
        text.seek(0)
        with transaction.atomic():
            if not _held(row):
                return False
            row.pieces.all().delete()
            row.size = services.store(row, iter(lambda: text.read(PIECE), b""))
            text.seek(0)
            services.describe(row, text.read(files.SAMPLE))
    return True


def _write(row: Import, stopping: Callable[[], bool]) -> bool:
    """Batch after batch, the next one prepared while the database writes; False if another worker goes on with it."""
    if row.rows is None:
        row.rows = files.check(row)
        Import.objects.filter(pk=row.pk).update(rows=row.rows)
    stream = files.rows(row, position=row.position, number=row.row)
    if row.headed and row.position == row.start:
        next(stream, None)
    prepare = _preparer(row)
    turn = Turn(stopping)
    with ThreadPoolExecutor(1, "import") as thread:
        ahead = thread.submit(prepare, list(islice(stream, BATCH)))
        while turn.lasts():
            batch = ahead.result()
            ahead = thread.submit(prepare, list(islice(stream, BATCH)))
            if not _write_batch(row, batch):
                return False
            if len(batch.rows) < BATCH:
                break
    return True


def _preparer(row: Import) -> Callable[[list[files.Row]], _Prepared]:
    """A function that makes of rows what is to be written, and asks no database: it runs in a thread."""
    read, policy, language = columns.reader(row.mapping, row.tags), Policy(row.policy), row.owner.language

    def prepare(rows: list[files.Row]) -> _Prepared:
        told, rejected = [], {}
        with translation.override(language):
            for each in rows:
                try:
                    told.append((each.number, read(each.cells)))
                except ValidationError as error:
                    rejected[each.number] = Result(Outcome.REJECTED, errors={"": error.messages})
            contacts = contacts_prepare([details for _, details in told], policy)
        return _Prepared(rows, contacts, [number for number, _ in told], rejected)

    return prepare


def _write_batch(row: Import, batch: _Prepared) -> bool:
    """Write it, unless somebody else did; the last one ends the import."""
    moment = now()
    with transaction.atomic():
        if not _held(row):
            return False
        written = contacts_write(batch.contacts, by=row.owner, source=Source.IMPORT, moment=moment)
        _record(row, batch.rows, batch.rejected | dict(zip(batch.told, written, strict=True)), moment)
    return True


def _held(row: Import) -> bool:
    """Lock the import, if it stands where we think it does and nobody else is at it."""
    skip = connection.features.has_select_for_update_skip_locked
    found = Import.objects.select_for_update(skip_locked=skip).filter(
        pk=row.pk, status=row.status, position=row.position, row=row.row
    )
    return bool(found)


def _record(row: Import, batch: list[files.Row], results: dict[int, Result], moment: Any) -> None:
    """Keep what was written and what was not, and how far we came."""
    aside = [_set_aside(row, each, results[each.number]) for each in batch if results[each.number].outcome in _LISTED]
    SetAside.objects.bulk_create(aside)
    created = [result.contact_id for result in results.values() if result.outcome == Outcome.CREATED]
    changed = [
        [result.contact_id, result.before, result.tagged]
        for result in results.values()
        if result.outcome == Outcome.UPDATED
    ]
    if created or changed:
        Batch.objects.create(of=row, moment=moment, created=created, changed=changed)
    for result in results.values():
        setattr(row, result.outcome, getattr(row, result.outcome) + 1)
    if batch:
        row.position, row.row = batch[-1].end, batch[-1].number
    if len(batch) < BATCH:
        row.status, row.finished_at = ImportStatus.FINISHED, now()
        row.pieces.all().delete()
    row.save()


def _set_aside(row: Import, each: files.Row, result: Result) -> SetAside:
    cells = [cell.replace("\0", "\ufffd").encode("utf-8", "replace").decode() for cell in each.cells]
    return SetAside(of=row, row=each.number, cells=cells, reason=_reason(result)[:500])


def _reason(result: Result) -> str:
    """Why a row was not written, after the field that it is about."""
    if result.outcome == Outcome.LEFT_ALONE:
        return str(NOT_YOURS)
    field, messages = next(iter(result.errors.items()))
    return f"{columns.FIELDS[field]}: {messages[0]}" if field in columns.FIELDS else messages[0]


def _undo(row: Import, stopping: Callable[[], bool]) -> bool:
    """Batch after batch, the latest first; False as for `_write`."""
    turn = Turn(stopping)
    while turn.lasts():
        with transaction.atomic():
            if not _held(row):
                return False
            batch = row.batches.order_by("-pk").first()
            if batch is None:
                row.status = ImportStatus.UNDONE
            else:
                undo_batch(row, batch)
            row.save()
        if batch is None:
            break
    return True


_STEPS: Final[dict[str, Callable[[Import, Callable[[], bool]], bool]]] = {
    ImportStatus.READING: _read_workbook,
    ImportStatus.RUNNING: _write,
    ImportStatus.UNDOING: _undo,
}
