"""What can be done with imports, and by whom."""

from collections.abc import Iterable
from datetime import timedelta
from typing import IO, Any, Final

from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from directory.details import clean_tags
from directory.imports import columns, files, workbooks
from directory.imports.models import AT_WORK, PIECE, Batch, Import, ImportStatus, Piece
from directory.upsert import Policy
from project.http import Conflict
from project.queue import enqueue

MAX_SIZE: Final = settings.UPLOAD_MAX_SIZE
MAX_WORKBOOK: Final = 64 * 1024 * 1024
DRAFT_LIFETIME: Final = timedelta(days=1)
UNDO_LIFETIME: Final = timedelta(days=30)
_LOOKED_AT: Final = 50
_OLD_EXCEL: Final = b"\xd0\xcf\x11\xe0"


def import_create(*, owner: User, name: str, content: IO[bytes]) -> Import:
    """Store a file, and say what it seems to hold. A workbook is read by a worker first; see `ImportStatus`.

    ValidationError where the file is empty, too large, or neither CSV nor XLSX.
    """
    sample = content.read(files.SAMPLE)
    content.seek(0)
    workbook = sample.startswith(workbooks.SIGNATURE)
    size = content.seek(0, 2)
    content.seek(0)
    _check_file(sample, size, MAX_WORKBOOK if workbook else MAX_SIZE)
    row = Import(owner=owner, name=name[-255:], status=ImportStatus.READING, size=size, workbook=workbook)
    if not workbook:
        row.encoding, row.start = files.sniff_encoding(sample)
    row.save()
    store(row, iter(lambda: content.read(PIECE), b""))
    if workbook:
        hint(row.pk)
        return row
    try:
        describe(row, sample)
    except ValidationError:
        row.delete()
        raise
    return row


def _check_file(sample: bytes, size: int, most: int) -> None:
    if not sample.strip():
        raise ValidationError(_("The file is empty."))
    if sample.startswith(_OLD_EXCEL):
        raise ValidationError(
            _("This is a workbook of an old Excel, or protected by a password. Save it as XLSX or CSV.")
        )
    if size > most:
        raise ValidationError(_("The file is larger than %(n)d MB. Split it."), params={"n": most // 1024**2})


def store(row: Import, content: Iterable[bytes]) -> int:
    """Keep the file's bytes, cut into pieces of `PIECE`; return how many there are."""
    number, rest = 0, b""
    for part in content:
        rest += part
        while len(rest) >= PIECE:
            Piece.objects.create(of=row, number=number, content=rest[:PIECE])
            number, rest = number + 1, rest[PIECE:]
    if rest:
        Piece.objects.create(of=row, number=number, content=rest)
    return number * PIECE + len(rest)


def describe(row: Import, sample: bytes) -> None:
    """Guess what separates the columns, what they are called and what they tell; the import is a draft then."""
    row.delimiter = files.sniff_delimiter(sample[row.start :].decode(row.encoding, "ignore"))
    read_header(row)
    row.status = ImportStatus.DRAFT
    row.save()


def read_header(row: Import, *, headed: bool | None = None) -> None:
    """Take over the names of the columns, and guess what they tell."""
    found = files.first_rows(row, _LOOKED_AT)
    if not found:
        raise ValidationError(_("The file holds no rows."))
    row.headed = columns.is_header(found[0].cells) if headed is None else headed
    names = [*map(_storable, found[0].cells)] if row.headed else [""] * max(len(each.cells) for each in found)
    row.header = [name or str(_("Column %(n)d") % {"n": number}) for number, name in enumerate(names, 1)]
    row.mapping = columns.guess(names)
    if "phone" not in row.mapping:
        phone = columns.guess_phone(len(names), [each.cells for each in found[row.headed :]])
        if phone is not None:
            row.mapping[phone] = "phone"


def _storable(name: str) -> str:
    """The name of a column on one line, without what a database can't keep."""
    return " ".join(name.replace("\0", "").encode("utf-8", "replace").decode().split())[:100]


def import_configure(*, row: Import, by: User, encoding: str, delimiter: str, headed: bool) -> None:
    """Read a draft's file in another way, and guess its columns anew. ValidationError where it can't be read so."""
    check_may_see(row, by)
    _check_draft(row)
    sample = bytes(row.pieces.get(number=0).content)
    guessed, mark = files.sniff_encoding(sample)
    row.start = mark if encoding == guessed else 0
    row.encoding, row.delimiter = encoding, delimiter
    read_header(row, headed=headed)
    row.save()


def import_start(*, row: Import, by: User, mapping: list[str], policy: Policy, tags: Iterable[str]) -> None:
    """Begin to write. ValidationError for a mapping without a phone or with a field twice, and for tags."""
    check_may_see(row, by)
    told = [field for field in mapping if field and field != "tags"]
    if "phone" not in told:
        raise ValidationError(_("Say which column holds the phone."))
    if len(set(told)) < len(told):
        raise ValidationError(_("Two columns can’t tell the same."))
    row.mapping, row.policy, row.tags = mapping, policy, clean_tags(tags)
    with transaction.atomic():
        _check_draft(Import.objects.select_for_update().get(pk=row.pk))
        row.status, row.started_at, row.position = ImportStatus.RUNNING, now(), row.start
        row.save()
        hint(row.pk)


def _check_draft(row: Import) -> None:
    if row.status != ImportStatus.DRAFT:
        raise Conflict(_("This import has been started already."))


def import_stop(*, row: Import, by: User) -> None:
    """Write nothing more; what is written stays, and can be undone."""
    _move(row, by, {ImportStatus.RUNNING}, ImportStatus.STOPPED, finished_at=now())
    row.pieces.all().delete()


def import_undo(*, row: Import, by: User) -> None:
    """Take back what an import wrote, as far as nobody has changed it since."""
    over = {ImportStatus.FINISHED, ImportStatus.STOPPED, ImportStatus.FAILED}
    if not row.undoable:
        raise Conflict(_("There is nothing that could be undone."))
    _move(row, by, over, ImportStatus.UNDOING)
    hint(row.pk)


def import_discard(*, row: Import, by: User) -> None:
    """Forget a file that was never written."""
    check_may_see(row, by)
    with transaction.atomic():
        _check_draft(Import.objects.select_for_update().get(pk=row.pk))
        row.delete()


def _move(row: Import, by: User, sources: set[ImportStatus], target: ImportStatus, **more: Any) -> None:
    check_may_see(row, by)
    if not Import.objects.filter(pk=row.pk, status__in=sources).update(status=target, **more):
        raise Conflict(_("The import is in another state by now."))
    row.refresh_from_db()


def check_may_see(row: Import, by: User) -> None:
    """Whose import it is, or an administrator; else PermissionDenied."""
    if not by.may_change(row):
        raise PermissionDenied(_("Only whoever started this import, or an administrator, may see it."))


def hint(pk: int) -> None:
    """Have a worker look at the import."""
    enqueue("directory.tasks.work_on_import", pk)


def imports_sweep() -> None:
    """Make lost hints anew, and let go of what nobody will ask for: old drafts, and undos that are too late."""
    for pk in Import.objects.filter(status__in=AT_WORK).values_list("pk", flat=True):
        hint(pk)
    Import.objects.filter(status=ImportStatus.DRAFT, created_at__lt=now() - DRAFT_LIFETIME).delete()
    Batch.objects.filter(of__finished_at__lt=now() - UNDO_LIFETIME).exclude(of__status=ImportStatus.UNDOING).delete()
