"""A stored file as a stream of rows. Each row has its end position, so that reading can continue there.

Every file is read as CSV; workbooks are converted first (`workbooks.py`).
"""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from directory.imports.cells import decode_cell
from directory.imports.models import CHUNK_BYTES, Chunk, Import

MAX_COLUMNS: Final = 200
MAX_CELL: Final = 32_767  # as in spreadsheets
MAX_ROW: Final = 262_144  # in a row
MAX_ROWS: Final = 2_000_000
SAMPLE: Final = 256 * 1024
DELIMITERS: Final = {",": _("Comma"), ";": _("Semicolon"), "\t": _("Tab"), "|": _("Vertical bar")}
ENCODINGS: Final = {
    "utf-8": "UTF-8",
    "cp1251": "Windows-1251",
    "utf-16-le": "UTF-16 LE",
    "utf-16-be": "UTF-16 BE",
    "koi8-r": "KOI8-R",
    "cp866": "DOS 866",
    "mac-cyrillic": "Mac Cyrillic",
    "cp1252": "Windows-1252",
}
_BYTE_ORDER_MARKS: Final = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_SINGLE_BYTE: Final = ("cp1251", "koi8-r", "cp866", "mac-cyrillic", "cp1252")
# Traces of a wrong guess: capitals after small letters, two alphabets in a word, signs within words.
_PLAUSIBLE: Final = re.compile(r"[а-яё]{2}|[А-ЯЁ]{2}|\b[А-ЯЁ][а-яё]|[a-zA-Z][à-öø-ÿ]|[à-öø-ÿ][a-zA-Z]")
_IMPLAUSIBLE: Final = re.compile(r"[а-яё][А-ЯЁ]|[a-zA-Z][а-яёА-ЯЁ]|[а-яёА-ЯЁ][a-zA-Z]|[^\x00-\x7f\w«»„“”’–—…№\u00a0]")
_SEP_LINE: Final = re.compile(r'"?sep=(.)"?(?:\r\n|\r|\n)', re.IGNORECASE)

csv.field_size_limit(MAX_CELL)


@dataclass(frozen=True, slots=True)
class Row:
    """A row: its number as in spreadsheets, its cells, and the position after it in bytes."""

    number: int
    cells: list[str]
    end: int


class _ChunkReader(io.RawIOBase):
    """The bytes of a stored file from a position on."""

    def __init__(self, import_job: int, position: int) -> None:
        self.import_job, self.number, self.pending = import_job, position // CHUNK_BYTES, b""
        self.pending = self._next()[position % CHUNK_BYTES :]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.pending = self.pending or self._next()
        lines_read = self.pending[: len(buffer)]
        buffer[: len(lines_read)], self.pending = lines_read, self.pending[len(lines_read) :]
        return len(lines_read)

    def _next(self) -> bytes:
        result = (
            Chunk.objects.filter(import_job=self.import_job, number=self.number)
            .values_list("content", flat=True)
            .first()
        )
        self.number += 1
        return bytes(result or b"")


def rows(import_job: Import, *, position: int | None = None, number: int = 0) -> Iterator[Row]:
    """Read rows after `position`; the first has number `number` + 1. Empty rows are skipped.

    Raises ValidationError with a message for users where the file is invalid.
    """
    end = import_job.start if position is None else position
    errors = "surrogatepass" if import_job.encoding.startswith("utf-16") else "surrogateescape"
    text = io.TextIOWrapper(
        io.BufferedReader(_ChunkReader(import_job.pk, end), CHUNK_BYTES), import_job.encoding, errors, newline=""
    )
    lines_read: list[str] = []
    length = 0
    # In an encoding of single bytes, characters and bytes are the same number.
    byte_length = (
        len if import_job.encoding in _SINGLE_BYTE else lambda line: len(line.encode(import_job.encoding, errors))
    )

    def lines() -> Iterator[str]:
        nonlocal length
        while line := text.readline(MAX_ROW + 1):
            lines_read.append(line)
            length += len(line)
            if length > MAX_ROW:
                raise ValidationError(_ROW_TOO_LONG, params={"row": number + 1, "n": MAX_ROW})
            yield line

    reader = csv.reader(lines(), delimiter=import_job.delimiter)
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise ValidationError(_TOO_LONG, params={"row": number + 1, "n": MAX_CELL}) from error
        except UnicodeError as error:
            raise ValidationError(
                _("Row %(row)d can’t be read with this encoding."), params={"row": number + 1}
            ) from error
        if cells is None:
            return
        number += 1
        end += sum(map(byte_length, lines_read))
        lines_read.clear()
        length = 0
        if len(cells) > MAX_COLUMNS:
            raise ValidationError(
                _("Row %(row)d has %(n)d columns; the maximum is %(most)d."),
                params={"row": number, "n": len(cells), "most": MAX_COLUMNS},
            )
        if any(cells):
            yield Row(number, [*map(decode_cell, cells)] if import_job.workbook else cells, end)


_TOO_LONG: Final = _("Row %(row)d has a cell with more than %(n)d characters. Is a closing quotation mark missing?")

_ROW_TOO_LONG: Final = _("Row %(row)d has more than %(n)d characters. Is a closing quotation mark missing?")


def count_rows(import_job: Import) -> int:
    """Read the whole file, and return the number of rows without header. Raises ValidationError if it is invalid."""
    total, last_start, last = 0, import_job.start, None
    for row in rows(import_job):
        total += 1
        if total > MAX_ROWS:
            raise ValidationError(
                _("The file has more than %(n)d rows. Split it into several files."), params={"n": MAX_ROWS}
            )
        last_start, last = last.end if last else import_job.start, row
    if last is not None and _ends_within_quotes(import_job, last_start):
        raise ValidationError(
            _("A quotation mark is opened in row %(row)d but never closed."), params={"row": last.number}
        )
    return max(total - import_job.has_header, 0)


def _ends_within_quotes(import_job: Import, position: int) -> bool:
    """Whether the last row ends within quotes, which the reader accepts."""
    text = io.BufferedReader(_ChunkReader(import_job.pk, position)).read().decode(import_job.encoding, "replace")
    try:
        list(csv.reader([text], delimiter=import_job.delimiter, strict=True))
    except csv.Error as error:
        return "end of data" in str(error)
    return False


def first_rows(import_job: Import, number: int) -> list[Row]:
    """Return the first valid rows, including the header."""
    result: list[Row] = []
    try:
        result.extend(islice(rows(import_job), number))
    except ValidationError:
        if not result:
            raise
    return result


def sniff_encoding(sample: bytes) -> tuple[str, int]:
    """Guess the encoding from the beginning, and return it with the length of the byte order mark.

    Raises ValidationError if the file is not text.
    """
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if sample.startswith(mark):
            return encoding, len(mark)
    utf16 = _utf16_encoding(sample)
    if utf16:
        return utf16, 0
    controls = len(re.findall(rb"[\x00-\x08\x0e-\x1f\x7f]", sample))
    if controls > len(sample) // 20:
        raise ValidationError(_("This file is neither CSV nor XLSX."))
    if _is_utf8(sample[: sample.rfind(b"\n") + 1] or sample):
        return "utf-8", 0
    return max(_SINGLE_BYTE, key=lambda encoding: _plausibility(sample, encoding)), 0


def _is_utf8(sample: bytes) -> bool:
    """Whether the text is UTF-8, apart from single bytes: a damaged row must not spoil the others."""
    text = sample.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    return not bad or len(re.findall(r"[^\x00-\x7f\ufffd]", text)) > 4 * bad


def _utf16_encoding(sample: bytes) -> str | None:
    """Detect UTF-16 without a mark: every other byte is the same for all letters of an alphabet."""
    if len(sample) < 4:
        return None
    for offset, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        high, low = sample[offset::2], sample[1 - offset :: 2]
        if sum(map(high.count, (b"\x00", b"\x04"))) > 0.9 * len(high) and low.count(b"\x00") < 0.1 * len(low):
            return encoding
    return None


def _plausibility(sample: bytes, encoding: str) -> int:
    text = sample.decode(encoding, "replace")
    return len(_PLAUSIBLE.findall(text)) - 3 * len(_IMPLAUSIBLE.findall(text))


def sep_line(text: str) -> str:
    """Return the first line if it is Excel's `sep=;`, which spreadsheets hide."""
    result = _SEP_LINE.match(text)
    return result[0] if result else ""


def sniff_delimiter(text: str) -> str:
    """Return the delimiter named by `sep=`, or the one that splits most of the first rows into equally many columns."""
    declared = _SEP_LINE.match(text)
    if declared and declared[1] in DELIMITERS:
        return declared[1]
    text = text[len(sep_line(text)) :]

    def consistency(delimiter: str) -> float:
        widths = Counter(map(len, islice(_readable_rows(text, delimiter), 50)))
        width, row_count = widths.most_common(1)[0] if widths else (1, 0)
        return (min(width, MAX_COLUMNS) - 1) * row_count / max(widths.total(), 1)

    return max(DELIMITERS, key=consistency)


def _readable_rows(text: str, delimiter: str) -> Iterator[list[str]]:
    """Return the rows that are readable."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        yield from filter(any, reader)
    except csv.Error:
        return
