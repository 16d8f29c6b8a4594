"""Limits of XLSX files, checked by streaming their XML before anything is loaded into memory.

An archive of a few kilobytes can expand to millions of cells, strings or styles.
"""

import re
import time
import zipfile
import zlib
from typing import IO, Any, Final
from xml.parsers import expat

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

MAX_UNPACKED: Final = 128 * 1024 * 1024
MAX_COLUMN: Final = 16_384  # of the format itself
# Elements: a cell with a value has two.
MAX_SHEET: Final = 10_000_000
MAX_ROW: Final = 4 * MAX_COLUMN
MAX_STRINGS: Final = 1_000_000
MAX_OTHERS: Final = 200_000  # styles, relations and everything else
SECONDS: Final = 40  # a task has 60
TOO_LARGE: Final = _("The workbook is too large when unpacked. Save it as CSV: larger CSV files are accepted.")
DAMAGED: Final = _("The workbook is damaged or protected by a password.")
_CHUNK: Final = 1024 * 1024
_SHEET, _STRINGS = "worksheet", "sst"
_IN_ROW: Final = frozenset({"row", "c", "v", "f", "is", "t"})
_ROW_DEPTH: Final = 3


class Deadline:
    """The time limit for one workbook."""

    def __init__(self) -> None:
        self.ends = time.monotonic() + SECONDS

    def check(self) -> None:
        """Raise ValidationError when the time is over."""
        if time.monotonic() > self.ends:
            raise ValidationError(_("Reading the workbook takes too long. Save it as CSV, which is read faster."))


def check_workbook(workbook: IO[bytes], deadline: Deadline) -> None:
    """Raise ValidationError if the file is not a workbook, is damaged, or exceeds the limits."""
    try:
        with zipfile.ZipFile(workbook) as archive:
            members = archive.infolist()
            if "xl/workbook.xml" not in archive.namelist():
                raise ValidationError(_("This file is neither CSV nor XLSX."))
            if sum(member.file_size for member in members) > MAX_UNPACKED:
                raise ValidationError(TOO_LARGE)
            scan = _Scan()
            for member in members:
                with archive.open(member) as part:
                    scan.read(part, deadline)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, RuntimeError, zlib.error) as error:
        raise ValidationError(DAMAGED) from error


class _Scan:
    """Counts elements. The root element tells what a part is, because its name may be anything."""

    def __init__(self) -> None:
        self.root, self.depth = "", 0
        self.in_sheet, self.in_row, self.strings, self.others = 0, 0, 0, 0

    def read(self, part: IO[bytes], deadline: Deadline) -> None:
        """Count one part of the archive. A part that is not XML, such as a picture, ends the count."""
        self.root, self.depth, self.in_sheet, self.in_row = "", 0, 0, 0
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.StartDoctypeDeclHandler = self._refuse_entities
        try:
            while chunk := part.read(_CHUNK):
                deadline.check()
                parser.Parse(chunk)
        except expat.ExpatError:
            return

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(" ")[2]
        self.root = self.root or local
        self.depth += 1
        if self.root == _SHEET:
            self._count_in_sheet(local, attributes)
        elif self.root == _STRINGS:
            self.strings += 1
        else:
            self.others += 1
        too_many = self.in_sheet > MAX_SHEET or self.in_row > MAX_ROW or self.strings > MAX_STRINGS
        if too_many or self.others > MAX_OTHERS:
            raise ValidationError(TOO_LARGE)

    def _end(self, name: str) -> None:
        self.depth -= 1

    def _count_in_sheet(self, local: str, attributes: dict[str, str]) -> None:
        self.in_sheet += 1
        if local == "row" and self.depth == _ROW_DEPTH:
            self.in_row = 0
        elif local in _IN_ROW:
            self.in_row += 1
        else:
            self.others += 1
        if local == "c" and _column(attributes.get("r", "")) > MAX_COLUMN:
            raise ValidationError(DAMAGED)

    def _refuse_entities(self, *_declaration: Any) -> None:
        raise ValidationError(DAMAGED)


def _column(reference: str) -> int:
    """Return the number of a cell's column from a reference like `AB12`; 0 if there is none."""
    letters = re.match(r"[A-Za-z]*", reference)
    number = 0
    for letter in letters[0][:8].upper() if letters else "":
        number = number * 26 + ord(letter) - ord("A") + 1
    return number
