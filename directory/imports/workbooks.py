"""XLSX as CSV: read as a stream, so that its memory does not grow, and only as far as it may unfold."""

import csv
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time
from io import StringIO
from typing import IO, Any, Final

import openpyxl
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from directory.imports.files import MAX_CELL, MAX_COLUMNS

SIGNATURE: Final = b"PK\x03\x04"
MAX_UNPACKED: Final = 128 * 1024 * 1024
MAX_ROWS: Final = 250_000
_ROWS_AT_ONCE: Final = 1000


def to_csv(workbook: IO[bytes]) -> Iterator[bytes]:
    """The first sheet as CSV in UTF-8, in pieces. Formulas are not run: their last results are read.

    ValidationError where it is no workbook, damaged, or too large when unpacked.
    """
    _check_unpacked(workbook)
    try:
        book = openpyxl.load_workbook(workbook, read_only=True, data_only=True, keep_links=False)
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # a file may claim any
        yield from _written(sheet.iter_rows(values_only=True))
    except ValidationError:
        raise
    except Exception as error:  # the library raises whatever the broken file makes its code stumble over
        raise ValidationError(_("The workbook is damaged, or protected by a password.")) from error


def _check_unpacked(workbook: IO[bytes]) -> None:
    """Python unpacks no more of a member than the archive says, so what it says can be relied on."""
    try:
        with zipfile.ZipFile(workbook) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
            known = "xl/workbook.xml" in archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise ValidationError(_("The workbook is damaged, or protected by a password.")) from error
    if not known:
        raise ValidationError(_("This is neither a CSV file nor an XLSX workbook."))
    if unpacked > MAX_UNPACKED:
        raise ValidationError(_("The workbook is too large when unpacked. Save it as CSV, which may be larger."))


def _written(rows: Iterator[tuple[Any, ...]]) -> Iterator[bytes]:
    buffer = StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    for number, cells in enumerate(rows, 1):
        if number > MAX_ROWS:
            raise ValidationError(
                _("The sheet has more than %(n)d rows. Save it as CSV, which may have more."), params={"n": MAX_ROWS}
            )
        texts = [_text(cell) for cell in cells]
        while texts and not texts[-1]:
            texts.pop()
        _check_size(number, texts)
        writer.writerow(texts)
        if number % _ROWS_AT_ONCE == 0:
            yield _taken(buffer)
    yield _taken(buffer)


def _check_size(number: int, texts: list[str]) -> None:
    if len(texts) > MAX_COLUMNS:
        raise ValidationError(
            _("Row %(row)d has %(n)d columns, and %(most)d are the most."),
            params={"row": number, "n": len(texts), "most": MAX_COLUMNS},
        )
    if any(len(text) > MAX_CELL for text in texts):
        raise ValidationError(
            _("Row %(row)d holds a cell of more than %(n)d characters."), params={"row": number, "n": MAX_CELL}
        )


def _taken(buffer: StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode("utf-8", "replace")


def _text(cell: Any) -> str:
    """A cell as people read it; a phone that the sheet holds as a number has no fraction."""
    match cell:
        case None:
            return ""
        case bool():
            return "true" if cell else "false"
        case float() if cell.is_integer():
            return str(int(cell))
        case datetime():
            return cell.isoformat(" ", "seconds")
        case date() | time():
            return cell.isoformat()
        case _:
            return str(cell)
