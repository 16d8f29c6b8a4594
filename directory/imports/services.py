"""Operations on imports, and who may do them."""

from collections.abc import Iterable
from datetime import timedelta
from typing import IO, Any, Final, NamedTuple

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.policies import check_may_change
from directory.contacts.rules import clean_tags
from directory.contacts.upsert import Policy
from directory.imports import files, guesses, vcards, workbooks
from directory.imports.models import AT_WORK, CHUNK_BYTES, Batch, Chunk, Import, ImportStatus
from project.core.clock import now
from project.http.errors import Conflict
from project.queue.broker import enqueue

MAX_SIZE: Final = settings.UPLOAD_MAX_SIZE
MAX_WORKBOOK: Final = 64 * 1024 * 1024
DRAFT_LIFETIME: Final = timedelta(days=1)
UNDO_LIFETIME: Final = timedelta(days=30)
_ROWS_EXAMINED: Final = 50
_OLD_EXCEL: Final = b"\xd0\xcf\x11\xe0"


def import_create(*, owner: User, name: str, content: IO[bytes]) -> Import:
    """Store a file, and guess its format. A worker converts workbooks and vCards first, see `ImportStatus`.

    Raises ValidationError if the file is empty, too large, or not CSV, XLSX or vCard.
    """
    sample = content.read(files.SAMPLE)
    content.seek(0)
    workbook = sample.startswith(workbooks.SIGNATURE) or vcards.is_vcard(sample)
    size = content.seek(0, 2)
    content.seek(0)
    _check_file(sample, size, MAX_WORKBOOK if workbook else MAX_SIZE)
    row = Import(owner=owner, name=name[-255:], status=ImportStatus.READING, size=size, workbook=workbook)
    if not workbook:
        row.encoding, row.start = files.sniff_encoding(sample)
    row.save()
    store(row, iter(lambda: content.read(CHUNK_BYTES), b""))
    if workbook:
        hint(row.pk)
        return row
    try:
        describe(row, sample)
    except ValidationError:
        row.delete()
        raise
    return row


def _check_file(sample: bytes, size: int, limit: int) -> None:
    if not sample.strip():
        raise ValidationError(_("The file is empty."))
    if sample.startswith(_OLD_EXCEL):
        raise ValidationError(
            _("This workbook is in an old Excel format or protected by a password. Save it as XLSX or CSV.")
        )
    if size > limit:
        raise ValidationError(
            _("The file is larger than %(n)d MB. Split it into several files."), params={"n": limit // 1024**2}
        )


def store(row: Import, content: Iterable[bytes]) -> int:
    """Store the file in chunks of `CHUNK_BYTES`, and return its size."""
    number, pending = 0, b""
    for part in content:
        pending += part
        while len(pending) >= CHUNK_BYTES:
            Chunk.objects.create(import_job=row, number=number, content=pending[:CHUNK_BYTES])
            number, pending = number + 1, pending[CHUNK_BYTES:]
    if pending:
        Chunk.objects.create(import_job=row, number=number, content=pending)
    return number * CHUNK_BYTES + len(pending)


def describe(row: Import, sample: bytes) -> None:
    """Guess delimiter, header and mapping, and make the import a draft."""
    text = sample[row.start :].decode(row.encoding, "ignore")
    row.delimiter = files.sniff_delimiter(text)
    row.start += len(files.sep_line(text).encode(row.encoding))
    read_header(row)
    row.status = ImportStatus.DRAFT
    row.save()


def read_header(row: Import, *, has_header: bool | None = None) -> None:
    """Read the column names, and guess the mapping."""
    rows = files.first_rows(row, _ROWS_EXAMINED)
    if not rows:
        raise ValidationError(_("The file has no rows."))
    row.has_header = guesses.is_header(rows[0].cells) if has_header is None else has_header
    names = [*map(_storable, rows[0].cells)] if row.has_header else [""] * max(len(each.cells) for each in rows)
    row.header = [name or str(_("Column %(n)d") % {"n": number}) for number, name in enumerate(names, 1)]
    row.mapping = guesses.guess(names, [each.cells for each in rows[row.has_header :]])


def _storable(name: str) -> str:
    """Return a column name on one line, without characters that a database can't store."""
    return " ".join(name.replace("\0", "").encode("utf-8", "replace").decode().split())[:100]


def import_configure(*, row: Import, by: User, encoding: str, delimiter: str, has_header: bool) -> None:
    """Change how a draft's file is read, and guess its mapping again. ValidationError if it can't be read that way."""
    check_may_change(by, row)
    _check_draft(row)
    sample = bytes(row.chunks.get(number=0).content)
    guessed, mark = files.sniff_encoding(sample)
    row.start = mark if encoding == guessed else 0
    row.start += len(files.sep_line(sample[row.start :].decode(encoding, "ignore")).encode(encoding, "ignore"))
    row.encoding, row.delimiter = encoding, delimiter
    read_header(row, has_header=has_header)
    row.save()


class Plan(NamedTuple):
    """How a draft is read: the field of each column, what to do with existing contacts, and tags for all."""

    mapping: list[str]
    policy: Policy
    tags: list[str]


def check_plan(*, row: Import, by: User, plan: Plan) -> Plan:
    """Return the plan with its tags as they are stored.

    Raises ValidationError for a mapping without phone or with a repeated field, and for tags; Conflict unless the
    import is a draft.
    """
    check_may_change(by, row)
    _check_draft(row)
    fields = [field for field in plan.mapping if field and field != "tags"]
    if "phone" not in fields:
        raise ValidationError(_("Select the column that contains the phone number."))
    if len(set(fields)) < len(fields):
        raise ValidationError(_("Two columns can’t be read as the same field."))
    return plan._replace(tags=clean_tags(plan.tags))


def import_start(*, row: Import, by: User, mapping: list[str], policy: Policy, tags: Iterable[str]) -> None:
    """Start writing. Raises as `check_plan`."""
    row.mapping, row.policy, row.tags = check_plan(row=row, by=by, plan=Plan(mapping, policy, list(tags)))
    with transaction.atomic():
        _check_draft(Import.objects.select_for_update().get(pk=row.pk))
        row.status, row.started_at, row.position = ImportStatus.RUNNING, now(), row.start
        row.save()
        hint(row.pk)


def _check_draft(row: Import) -> None:
    if row.status != ImportStatus.DRAFT:
        raise Conflict(_("This import has already been started."))


def import_stop(*, row: Import, by: User) -> None:
    """Stop writing. Written contacts stay, and can be undone."""
    _change_status(row, by, {ImportStatus.RUNNING}, ImportStatus.STOPPED, finished_at=now())
    row.chunks.all().delete()


def import_undo(*, row: Import, by: User) -> None:
    """Undo an import, except for contacts that somebody has changed since."""
    ended = {ImportStatus.FINISHED, ImportStatus.STOPPED, ImportStatus.FAILED}
    if not row.undoable:
        raise Conflict(_("There is nothing to undo."))
    _change_status(row, by, ended, ImportStatus.UNDOING)
    hint(row.pk)


def import_discard(*, row: Import, by: User) -> None:
    """Delete an import in any state. Written contacts stay. A worker notices that the import is gone."""
    check_may_change(by, row)
    row.delete()


def _change_status(row: Import, by: User, sources: set[ImportStatus], target: ImportStatus, **fields: Any) -> None:
    check_may_change(by, row)
    if not Import.objects.filter(pk=row.pk, status__in=sources).update(status=target, **fields):
        raise Conflict(_("The status of this import has changed. Reload the page."))
    row.refresh_from_db()


def hint(pk: int) -> None:
    """Enqueue work on the import."""
    enqueue("directory.tasks.work_on_import", pk)


def imports_sweep() -> None:
    """Enqueue unfinished imports again; delete old drafts, and undo data that is too old."""
    for pk in Import.objects.filter(status__in=AT_WORK).values_list("pk", flat=True):
        hint(pk)
    Import.objects.filter(status=ImportStatus.DRAFT, created_at__lt=now() - DRAFT_LIFETIME).delete()
    Batch.objects.filter(import_job__finished_at__lt=now() - UNDO_LIFETIME).exclude(
        import_job__status=ImportStatus.UNDOING
    ).delete()
