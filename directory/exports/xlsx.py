"""Workbooks with real numbers and dates, written by XlsxWriter in constant memory. No database access.

The workbook is complete before its first byte is sent; the format requires it.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from tempfile import TemporaryFile
from typing import Any, Final

import xlsxwriter

MAX_ROWS: Final = 1_048_575  # of a sheet, below its header
_CHUNK: Final = 64 * 1024
_WIDTH: Final = 18  # characters: a phone or a moment in a narrower column is shown as 7.9E+10 or ####
_INVALID_IN_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_OPTIONS: Final = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "default_date_format": "yyyy-mm-dd hh:mm:ss",
}


def workbook(title: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    """Return an XLSX file in chunks. Its sheet is called `title`; excess rows continue on further sheets.

    Times are written in their own zone, because spreadsheets have no time zones.
    """
    with TemporaryFile() as file:
        with xlsxwriter.Workbook(file, _OPTIONS) as book:
            _write_rows(book, title, header, rows)
        file.seek(0)
        while chunk := file.read(_CHUNK):
            yield chunk


def _write_rows(book: Any, title: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    date_format = book.add_format({"num_format": "yyyy-mm-dd"})
    sheet, number = _add_sheet(book, title, header), 0
    for cells in rows:
        if number == MAX_ROWS:
            sheet, number = _add_sheet(book, f"{title} {len(book.worksheets()) + 1}", header), 0
        number += 1
        for column, cell in enumerate(cells):
            match cell:
                case "":
                    pass
                case str():
                    sheet.write_string(number, column, _text(cell))
                case datetime():
                    sheet.write_datetime(number, column, cell.replace(tzinfo=None))
                case date():
                    sheet.write_datetime(number, column, cell, date_format)
                case _:
                    sheet.write(number, column, cell)


def _text(cell: str) -> str:
    """Remove characters that XML can't contain, and end lines with LF, like spreadsheets do."""
    return _INVALID_IN_XML.sub("", cell.replace("\r\n", "\n").replace("\r", "\n"))


def _add_sheet(book: Any, title: str, header: Sequence[str]) -> Any:
    sheet = book.add_worksheet(title)
    sheet.set_column(0, len(header) - 1, _WIDTH)
    sheet.freeze_panes(1, 0)
    for column, name in enumerate(header):
        sheet.write_string(0, column, name)
    return sheet
