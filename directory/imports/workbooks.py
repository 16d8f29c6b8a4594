"""XLSX as CSV, streamed in constant memory and within `workbook_limits`."""

import csv
from collections.abc import Iterator
from datetime import date, datetime, time
from io import StringIO
from typing import IO, Any, Final

import openpyxl
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from openpyxl.utils.escape import unescape

from directory.imports.cells import TypedCell, encode_cell
from directory.imports.files import MAX_CELL, MAX_COLUMNS
from directory.imports.workbook_limits import DAMAGED, TOO_LARGE, Deadline, check_workbook

SIGNATURE: Final = b"PK\x03\x04"
MAX_ROWS: Final = 250_000
_ROWS_PER_CHUNK: Final = 1000


def to_csv(workbook: IO[bytes]) -> Iterator[bytes]:
    """Return the first sheet as UTF-8 CSV in chunks. Formulas are not run; their last results are used.

    Raises ValidationError if the file is not a workbook, is damaged, or is too large when unpacked.
    """
    deadline = Deadline()
    check_workbook(workbook, deadline)
    try:
        book = openpyxl.load_workbook(workbook, read_only=True, data_only=True, keep_links=False)
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # the file may claim any size
        yield from _csv_chunks(sheet.iter_rows(values_only=True), deadline)
    except ValidationError:
        raise
    except MemoryError as error:
        raise ValidationError(TOO_LARGE) from error
    except Exception as error:  # openpyxl raises all kinds of errors for broken files
        raise ValidationError(DAMAGED) from error


def _csv_chunks(rows: Iterator[tuple[Any, ...]], deadline: Deadline) -> Iterator[bytes]:
    buffer = StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    for number, cells in enumerate(rows, 1):
        deadline.check()
        if number > MAX_ROWS:
            raise ValidationError(
                _("The sheet has more than %(n)d rows. Save it as CSV: CSV files can have more rows."),
                params={"n": MAX_ROWS},
            )
        texts = [_text(cell) for cell in cells]
        while texts and not texts[-1]:
            texts.pop()
        _check_size(number, texts)
        writer.writerow(texts)
        if number % _ROWS_PER_CHUNK == 0:
            yield _drain(buffer)
    yield _drain(buffer)


def _check_size(number: int, texts: list[str]) -> None:
    if len(texts) > MAX_COLUMNS:
        raise ValidationError(
            _("Row %(row)d has %(n)d columns; the maximum is %(most)d."),
            params={"row": number, "n": len(texts), "most": MAX_COLUMNS},
        )
    if any(len(text) > MAX_CELL for text in texts):
        raise ValidationError(
            _("Row %(row)d has a cell with more than %(n)d characters."), params={"row": number, "n": MAX_CELL}
        )


def _drain(buffer: StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode("utf-8", "replace")


def _text(cell: Any) -> str:
    """Return a cell as text; numbers and booleans are encoded as such."""
    match cell:
        case None:
            return ""
        case bool() | int() | float():
            return encode_cell(TypedCell.from_value(cell))
        case datetime():
            return cell.isoformat(" ", "seconds")
        case date() | time():
            return cell.isoformat()
        case _:
            return str(unescape(str(cell)))
