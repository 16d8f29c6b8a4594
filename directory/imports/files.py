"""A stored file as a stream of text rows, each with the byte where it ends, so that reading goes on from any of them.

Every file is read as CSV; a workbook has been made into one (`workbooks.py`).
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

from directory.imports.models import PIECE, Import, Piece

MAX_COLUMNS: Final = 200
MAX_CELL: Final = 32_767  # characters, as in a spreadsheet
MAX_ROWS: Final = 2_000_000
SAMPLE: Final = 256 * 1024
DELIMITERS: Final = {",": _("Comma"), ";": _("Semicolon"), "\t": _("Tab"), "|": _("Bar")}
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
_MARKS: Final = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_SINGLE_BYTE: Final = ("cp1251", "koi8-r", "cp866", "mac-cyrillic", "cp1252")
# What a wrong guess leaves: capitals after small letters, two alphabets in one word, signs inside of words.
_GOOD: Final = re.compile(r"[а-яё]{2}|[А-ЯЁ]{2}|\b[А-ЯЁ][а-яё]|[a-zA-Z][à-öø-ÿ]|[à-öø-ÿ][a-zA-Z]")
_BAD: Final = re.compile(r"[а-яё][А-ЯЁ]|[a-zA-Z][а-яёА-ЯЁ]|[а-яёА-ЯЁ][a-zA-Z]|[^\x00-\x7f\w«»„“”’–—…№\u00a0]")

csv.field_size_limit(MAX_CELL)


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its number as spreadsheets count, its cells, and the byte of the file behind it."""

    number: int
    cells: list[str]
    end: int


class _Pieces(io.RawIOBase):
    """The bytes of a stored file from `position` on."""

    def __init__(self, of: int, position: int) -> None:
        self.of, self.number, self.rest = of, position // PIECE, b""
        self.rest = self._next()[position % PIECE :]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.rest = self.rest or self._next()
        taken = self.rest[: len(buffer)]
        buffer[: len(taken)], self.rest = taken, self.rest[len(taken) :]
        return len(taken)

    def _next(self) -> bytes:
        found = Piece.objects.filter(of=self.of, number=self.number).values_list("content", flat=True).first()
        self.number += 1
        return bytes(found or b"")


def rows(of: Import, *, position: int | None = None, number: int = 0) -> Iterator[Row]:
    """The rows behind `position`, the first of which has `number` + 1; empty ones are passed over.

    ValidationError, as a sentence for people, where the file can't be understood from here on.
    """
    end = of.start if position is None else position
    errors = "surrogatepass" if of.encoding.startswith("utf-16") else "surrogateescape"
    text = io.TextIOWrapper(io.BufferedReader(_Pieces(of.pk, end), PIECE), of.encoding, errors, newline="")
    taken: list[str] = []
    # As many bytes as characters, where each has one.
    measured = len if of.encoding in _SINGLE_BYTE else lambda line: len(line.encode(of.encoding, errors))

    def lines() -> Iterator[str]:
        for line in text:
            taken.append(line)
            yield line

    reader = csv.reader(lines(), delimiter=of.delimiter)
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise ValidationError(_TOO_LONG, params={"row": number + 1, "n": MAX_CELL}) from error
        except UnicodeError as error:
            raise ValidationError(
                _("Row %(row)d can’t be read in this encoding."), params={"row": number + 1}
            ) from error
        if cells is None:
            return
        number += 1
        end += sum(map(measured, taken))
        taken.clear()
        if len(cells) > MAX_COLUMNS:
            raise ValidationError(
                _("Row %(row)d has %(n)d columns, and %(most)d are the most."),
                params={"row": number, "n": len(cells), "most": MAX_COLUMNS},
            )
        if any(cells):
            yield Row(number, cells, end)


_TOO_LONG: Final = _("Row %(row)d holds a cell of more than %(n)d characters. Is a quote left open in it?")


def check(of: Import) -> int:
    """Read the file to its end, and return the number of rows below the header; ValidationError if it is unsound."""
    total, before, last = 0, of.start, None
    for row in rows(of):
        total += 1
        if total > MAX_ROWS:
            raise ValidationError(_("The file has more than %(n)d rows. Split it."), params={"n": MAX_ROWS})
        before, last = last.end if last else of.start, row
    if last is not None and _left_open(of, before):
        raise ValidationError(_("In row %(row)d a quote is opened and never closed."), params={"row": last.number})
    return max(total - of.headed, 0)


def _left_open(of: Import, position: int) -> bool:
    """Whether the last row ends inside of quotes, which the reader forgives."""
    text = io.BufferedReader(_Pieces(of.pk, position)).read().decode(of.encoding, "replace")
    try:
        list(csv.reader([text], delimiter=of.delimiter, strict=True))
    except csv.Error as error:
        return "end of data" in str(error)
    return False


def first_rows(of: Import, number: int) -> list[Row]:
    """The first rows, as far as they can be understood; the header is one of them."""
    found: list[Row] = []
    try:
        found.extend(islice(rows(of), number))
    except ValidationError:
        if not found:
            raise
    return found


def sniff_encoding(sample: bytes) -> tuple[str, int]:
    """The encoding of a text by its beginning, and the length of the mark before it; ValidationError if it is none."""
    for mark, encoding in _MARKS.items():
        if sample.startswith(mark):
            return encoding, len(mark)
    wide = _wide(sample)
    if wide:
        return wide, 0
    controls = len(re.findall(rb"[\x00-\x08\x0e-\x1f\x7f]", sample))
    if controls > len(sample) // 20:
        raise ValidationError(_("This is neither a CSV file nor an XLSX workbook."))
    if _is_utf8(sample[: sample.rfind(b"\n") + 1] or sample):
        return "utf-8", 0
    return max(_SINGLE_BYTE, key=lambda encoding: _plausibility(sample, encoding)), 0


def _is_utf8(sample: bytes) -> bool:
    """Whether it is, but for a byte here and there: a row that is damaged must not spoil the others."""
    text = sample.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    return not bad or len(re.findall(r"[^\x00-\x7f\ufffd]", text)) > 4 * bad


def _wide(sample: bytes) -> str | None:
    """UTF-16 without a mark: every other byte is the same for all letters of an alphabet."""
    if len(sample) < 4:
        return None
    for offset, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        high, low = sample[offset::2], sample[1 - offset :: 2]
        if sum(map(high.count, (b"\x00", b"\x04"))) > 0.9 * len(high) and low.count(b"\x00") < 0.1 * len(low):
            return encoding
    return None


def _plausibility(sample: bytes, encoding: str) -> int:
    text = sample.decode(encoding, "replace")
    return len(_GOOD.findall(text)) - 3 * len(_BAD.findall(text))


def sniff_delimiter(text: str) -> str:
    """The one that cuts most of the first rows into the same number of columns."""

    def fit(delimiter: str) -> float:
        widths = Counter(map(len, islice(_forgiving(text, delimiter), 50)))
        width, agreeing = widths.most_common(1)[0] if widths else (1, 0)
        return (min(width, MAX_COLUMNS) - 1) * agreeing / max(widths.total(), 1)

    return max(DELIMITERS, key=fit)


def _forgiving(text: str, delimiter: str) -> Iterator[list[str]]:
    """The rows that can be read, for a look."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        yield from filter(any, reader)
    except csv.Error:
        return
