"""Prices as CSV: what is exported can be imported again. No I/O."""

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Final, NamedTuple

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from campaigns.prices.entries import Entry, read_amount, read_area, read_date
from directory.exports.contacts import Echo
from directory.imports.files import sep_line, sniff_delimiter, sniff_encoding
from project.core.numbers import number

HEADER: Final = ("area", "price", "valid_from")
MAX_ROWS: Final = 10_000
# By column: names in lower case, spaces instead of underscores.
_NAMES: Final = {
    "area": ("area", "country or prefix", "направление", "страна или префикс"),
    "prefix": ("prefix", "code", "префикс", "код"),
    "country": ("country", "страна"),
    "price": ("price", "price per part", "rate", "цена", "цена части", "тариф", "стоимость"),
    "valid_from": ("valid from", "from", "date", "действует с", "дата", "с"),
}


class Problem(NamedTuple):
    """Why a row, by its number as in spreadsheets, can't be read."""

    row: int
    reason: str


class BadTable(Exception):
    """The file has rows that can't be read: all of them are in `problems`."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(problems)
        self.problems = problems


def read_table(content: bytes, today: date) -> list[Entry]:
    """Read a CSV file in any usual encoding and with any usual separators. A row without a date is valid from today.

    ValidationError if it is no such table, and BadTable if some of its rows are wrong.
    """
    rows = _rows(content)
    header = next(rows, (0, []))[1]
    columns = _columns(header)
    entries: dict[int, Entry] = {}
    problems: list[Problem] = []
    for row, cells in rows:
        try:
            entries[row] = _entry(columns, _of_width(len(header), cells), today)
        except ValidationError as error:
            problems.append(Problem(row, " ".join(error.messages)))
        if row > MAX_ROWS + 1:
            raise ValidationError(_("The file has more than %(number)s rows.") % {"number": number(MAX_ROWS)})
    problems += _repeated(entries)
    if problems:
        raise BadTable(sorted(problems))
    if not entries:
        raise ValidationError(_("The file has no prices."))
    return list(entries.values())


def write_table(entries: Iterable[Entry]) -> Iterator[str]:
    """Return the lines of a CSV file, in UTF-8 with a byte order mark for spreadsheets."""
    writer = csv.writer(Echo())
    yield "\ufeff" + writer.writerow(HEADER)
    for entry in entries:
        yield writer.writerow((entry.area, entry.price, entry.valid_from))


def _rows(content: bytes) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not empty, with their numbers."""
    encoding, start = sniff_encoding(content)
    text = content[start:].decode(encoding, "replace")
    delimiter, text = sniff_delimiter(text), text[len(sep_line(text)) :]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        yield from ((row, cells) for row, cells in enumerate(reader, start=1) if any(cells))
    except csv.Error as error:
        raise ValidationError(_("The file can’t be read as CSV.")) from error


def _columns(header: list[str]) -> dict[str, int]:
    """Return the positions of the columns by their names."""
    names = [" ".join(cell.casefold().replace("_", " ").split()) for cell in header]
    columns = {column: n for n, name in enumerate(names) for column, known in _NAMES.items() if name in known}
    if "price" not in columns or not columns.keys() & {"area", "prefix", "country"}:
        raise ValidationError(
            _("The first row must name the columns: “area” (or “country”, “prefix”), “price” and “valid_from”.")
        )
    return columns


def _of_width(width: int, cells: list[str]) -> list[str]:
    """Return as many cells as the header has. ValidationError if there are more, as by a comma without quotes."""
    if any(cells[width:]):
        raise ValidationError(_("The row has more cells than the first row."))
    return [cell.strip() for cell in [*cells, *[""] * width][:width]]


def _entry(columns: dict[str, int], cells: list[str], today: date) -> Entry:
    """Read a row. If it has several kinds of areas, the most exact one counts."""
    values = {name: cells[position] for name, position in columns.items()}
    area = values.get("prefix") or values.get("area") or values.get("country") or ""
    valid_from = values.get("valid_from")
    return Entry(read_area(area), read_date(valid_from) if valid_from else today, read_amount(values["price"]))


def _repeated(entries: dict[int, Entry]) -> Iterator[Problem]:
    first: dict[tuple[str, date], int] = {}
    for row, entry in entries.items():
        known = first.setdefault(entry.key, row)
        if known != row:
            yield Problem(row, _("Row %(row)d has a price for the same numbers and day.") % {"row": known})
