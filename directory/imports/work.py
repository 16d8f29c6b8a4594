"""The work on an import, batch by batch. Each batch is one transaction with the progress.

A worker may die at any time, and another continues after the last batch. Two workers take turns.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import Any, Final

import structlog
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import F
from django.utils import translation
from django.utils.translation import gettext_lazy as _

from directory.contacts.upsert import Outcome, Policy, Prepared, Result, contacts_prepare, contacts_write
from directory.fields import IN_FILES
from directory.imports import columns, files, services, vcards, workbooks
from directory.imports.models import AT_WORK, CHUNK_BYTES, Batch, Chunk, Import, ImportStatus, RejectedRow
from directory.imports.undo import undo_batch
from directory.models import Contact, Source
from project.core.clock import now
from project.queue import broker
from project.queue.broker import other_tasks_due
from project.queue.tasks import task

log = structlog.get_logger("vestnik.imports")

SESSION_SECONDS: Final = 20.0
YIELD_AFTER_SECONDS: Final = 2.0
BATCH: Final = 5000
BATCH_CHARACTERS: Final = 4_000_000
MAX_FAILURES: Final = 3
_GAVE_UP: Final = _("The import was interrupted %(n)d times in a row. Split the file or save it as CSV.")
_LISTED_OUTCOMES: Final = (Outcome.REJECTED, Outcome.NOT_OWNED)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """Parsed rows of a file. `numbers` has the row numbers of `contacts`.

    `last` means that no rows follow.
    """

    rows: list[files.Row]
    contacts: Prepared
    numbers: list[int]
    rejected: dict[int, Result]
    last: bool


class ImportSession:
    """How long a worker stays with an import: for a while, or until another task is due, like a campaign's start."""

    def __init__(self, stopping: Callable[[], bool]) -> None:
        self.stopping, self.started = stopping, time.monotonic()

    def has_time(self) -> bool:
        """Whether there is time for another batch."""
        worked = time.monotonic() - self.started
        return (
            not self.stopping() and worked < SESSION_SECONDS and (worked < YIELD_AFTER_SECONDS or not other_tasks_due())
        )


@task("directory.tasks.work_on_import")
def work_on_import(import_id: int) -> None:
    """An import may have something to do."""
    import_advance(import_id, lambda: bool(broker.stopping.value))


def import_advance(pk: int, stopping: Callable[[], bool]) -> None:
    """Work on an import for a while. Enqueues it again if it is not finished and no other worker has it."""
    row = Import.objects.select_related("owner").filter(pk=pk, status__in=AT_WORK).first()
    if row is None:
        return
    with translation.override(row.owner.language):  # stored messages are in the owner's language
        if row.failures >= MAX_FAILURES:
            _fail(row, str(_GAVE_UP) % {"n": row.failures})
            return
        _count_failure(row)
        try:
            is_ours = _STEPS[row.status](row, stopping)
        except ValidationError as error:
            _fail(row, " ".join(error.messages))
            return
    Import.objects.filter(pk=pk).update(failures=0)
    if is_ours and Import.objects.filter(pk=pk, status__in=AT_WORK).exists():
        services.hint(pk)


def _count_failure(row: Import) -> None:
    """Count each attempt as failed until it makes progress, because a killed worker can't count it afterwards."""
    Import.objects.filter(pk=row.pk).update(failures=F("failures") + 1)
    row.failures = 0  # saving progress resets the count


def _fail(row: Import, error: str) -> None:
    """End the import. Contacts written before stay, and can be undone."""
    Import.objects.filter(pk=row.pk, status__in=AT_WORK).update(
        status=ImportStatus.FAILED, error=error[:500], finished_at=now()
    )
    Chunk.objects.filter(import_job=row).delete()
    log.info("import failed", id=row.pk)


def _read_workbook(row: Import, stopping: Callable[[], bool]) -> bool:
    """Convert a workbook or vCards to CSV. The second of two workers finds it done."""
    with TemporaryFile() as original, TemporaryFile() as text:
        for content in row.chunks.order_by("number").values_list("content", flat=True).iterator(4):
            original.write(content)
        original.seek(0)
        convert = workbooks.to_csv if original.read(4) == workbooks.SIGNATURE else vcards.to_csv
        for part in convert(original):
            text.write(part)
        text.seek(0)
        with transaction.atomic():
            if not _lock_unchanged(row):
                return False
            row.chunks.all().delete()
            row.size = services.store(row, iter(lambda: text.read(CHUNK_BYTES), b""))
            text.seek(0)
            services.describe(row, text.read(files.SAMPLE))
    return True


def _write(row: Import, stopping: Callable[[], bool]) -> bool:
    """Write batch by batch, preparing the next while the database writes. Returns False if another worker has it."""
    if row.rows is None:
        row.rows = files.count_rows(row)
        Import.objects.filter(pk=row.pk).update(rows=row.rows)
    stream = files.rows(row, position=row.position, number=row.row)
    if row.has_header and row.position == row.start:
        next(stream, None)
    batches, prepare = _batches(stream), _preparer(row)
    session = ImportSession(stopping)
    with ThreadPoolExecutor(1, "import") as thread:
        next_batch = thread.submit(prepare, next(batches))
        while session.has_time():
            batch = next_batch.result()
            if not batch.last:
                next_batch = thread.submit(prepare, next(batches))
            if not _write_batch(row, batch):
                return False
            if batch.last:
                break
    return True


def _batches(stream: Iterator[files.Row]) -> Iterator[list[files.Row]]:
    """Split rows into lists of at most `BATCH`, fewer if rows are long. An empty list marks the end."""
    while True:
        batch, characters = list[files.Row](), 0
        while len(batch) < BATCH and characters < BATCH_CHARACTERS:
            row = next(stream, None)
            if row is None:
                break
            batch.append(row)
            characters += sum(map(len, row.cells))
        yield batch


def _preparer(row: Import) -> Callable[[list[files.Row]], _Prepared]:
    """Return a function that parses rows without database access; it runs in a thread."""
    read, policy, language = columns.reader(row.mapping, row.tags), Policy(row.policy), row.owner.language

    def prepare(rows: list[files.Row]) -> _Prepared:
        numbers, rejected = [], {}
        with translation.override(language):
            for file_row in rows:
                try:
                    numbers.append((file_row.number, read(file_row.cells)))
                except ValidationError as error:
                    rejected[file_row.number] = Result(Outcome.REJECTED, errors={"": error.messages})
            contacts = contacts_prepare([details for _, details in numbers], policy)
        return _Prepared(rows, contacts, [number for number, _ in numbers], rejected, last=not rows)

    return prepare


def _write_batch(row: Import, batch: _Prepared) -> bool:
    """Write a batch unless another worker did. The last one ends the import."""
    moment = now()
    with transaction.atomic():
        if not _lock_unchanged(row):
            return False
        results_written = contacts_write(batch.contacts, by=row.owner, source=Source.IMPORT, moment=moment)
        _record(row, batch, batch.rejected | dict(zip(batch.numbers, results_written, strict=True)), moment)
    return True


def _lock_unchanged(row: Import) -> bool:
    """Lock the import if it has the expected position and no other worker has it."""
    skip = connection.features.has_select_for_update_skip_locked
    locked = Import.objects.select_for_update(skip_locked=skip).filter(
        pk=row.pk, status=row.status, position=row.position, row=row.row
    )
    return bool(locked)


def _record(row: Import, batch: _Prepared, results: dict[int, Result], moment: Any) -> None:
    """Store undo data, rejected rows and progress."""
    rejected_rows = [
        _rejected_row(row, file_row, results[file_row.number])
        for file_row in batch.rows
        if results[file_row.number].outcome in _LISTED_OUTCOMES
    ]
    RejectedRow.objects.bulk_create(rejected_rows)
    created = [result.contact_id for result in results.values() if result.outcome == Outcome.CREATED]
    changed = [
        [result.contact_id, result.before, result.tagged]
        for result in results.values()
        if result.outcome == Outcome.UPDATED
    ]
    if created or changed:
        Batch.objects.create(import_job=row, moment=moment, created=created, changed=changed)
    for result in results.values():
        setattr(row, result.outcome, getattr(row, result.outcome) + 1)
    if batch.rows:
        row.position, row.row = batch.rows[-1].end, batch.rows[-1].number
    if batch.last:
        row.status, row.finished_at = ImportStatus.FINISHED, now()
        row.chunks.all().delete()
    row.save()


def _rejected_row(row: Import, file_row: files.Row, result: Result) -> RejectedRow:
    cells = [cell.replace("\0", "\ufffd").encode("utf-8", "replace").decode() for cell in file_row.cells]
    return RejectedRow(import_job=row, row=file_row.number, cells=cells, reason=_reason(result)[:500])


def _reason(result: Result) -> str:
    """Return why a row was not written, with its field."""
    if result.outcome == Outcome.NOT_OWNED:
        return str(Contact.NOT_YOURS)
    field, messages = next(iter(result.errors.items()))
    return f"{IN_FILES[field]}: {messages[0]}" if field in IN_FILES else messages[0]


def _undo(row: Import, stopping: Callable[[], bool]) -> bool:
    """Undo batch by batch, latest first. Returns False like `_write`."""
    session = ImportSession(stopping)
    while session.has_time():
        with transaction.atomic():
            if not _lock_unchanged(row):
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
