"""Exports of contacts, streamed: the first bytes are sent at once, and memory use is constant.

An export can be imported again without changes.
"""

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final

from django.db import connection
from django.http import StreamingHttpResponse

from directory.contacts import attributes
from directory.exports.cells import escape_formula
from directory.exports.xlsx import workbook
from directory.fields import FIELDS, FLAGS, IN_FILES
from directory.imports.columns import ATTRIBUTE
from directory.imports.guesses import guess
from directory.models import Contact, ContactQuerySet
from project.core.sql import is_among

BATCH: Final = 5000
_COLUMNS_READ: Final = ("pk", *(field.name for field in FIELDS if not field.related))
JSON_LINES: Final = "application/jsonl"
XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class Echo:
    """A file that returns what is written to it, so that the csv module produces lines."""

    def write(self, text: str) -> str:
        """Return the text."""
        return text


def contacts_csv(contacts: ContactQuerySet) -> StreamingHttpResponse:
    """Return the contacts as CSV, in UTF-8 with a byte order mark for spreadsheets."""
    return attachment(_lines(contacts), "contacts.csv")


def contacts_xlsx(contacts: ContactQuerySet) -> StreamingHttpResponse:
    """Return the contacts as a workbook."""
    names = attribute_names(contacts)
    rows = ([cells[0], *map(escape_cell, cells[1:])] for cells in contact_rows(contacts, names))
    return attachment(workbook("Contacts", header(names), rows), "contacts.xlsx", XLSX)


def attachment(content: Iterable[Any], name: str, kind: str = "text/csv; charset=utf-8") -> StreamingHttpResponse:
    """Return a streamed download."""
    response = StreamingHttpResponse(content, content_type=kind)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["X-Accel-Buffering"] = "no"  # no buffering in the proxy
    return response


def _lines(contacts: ContactQuerySet) -> Iterator[str]:
    writer = csv.writer(Echo())
    names = attribute_names(contacts)
    yield "\ufeff" + writer.writerow(header(names))
    block: list[str] = []
    for cells in contact_rows(contacts, names):
        block.append(writer.writerow([escape_cell(cell) for cell in cells]))
        if len(block) == 500:
            yield "".join(block)
            block.clear()
    yield "".join(block)


def escape_cell(cell: Any) -> Any:
    """Escape texts; numbers stay numbers."""
    return escape_formula(cell) if isinstance(cell, str) else cell


def header(names: list[str]) -> list[str]:
    """Return column names that an import recognises."""
    return [*IN_FILES, *(name if guess([name]) == [ATTRIBUTE + name] else ATTRIBUTE + name for name in names)]


def attribute_names(contacts: ContactQuerySet) -> list[str]:
    """Return the names of all attributes of these contacts."""
    select, parameters = contacts.order_by().values_list("attributes").query.sql_with_params()
    keys = "jsonb_object_keys(attributes)" if connection.vendor == "postgresql" else "json_each.key"
    join = "" if connection.vendor == "postgresql" else ", json_each(attributes)"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT DISTINCT {keys} FROM (SELECT DISTINCT attributes FROM ({select}) AS found) AS various{join}",  # noqa: S608
            parameters,
        )
        return sorted(name for (name,) in cursor.fetchall())


def contact_rows(contacts: ContactQuerySet, names: list[str]) -> Iterator[list[Any]]:
    """Return the cells of each contact, ordered by id. Reads page by page, so that no cursor stays open."""
    last = 0
    while True:
        batch = list(contacts.filter(pk__gt=last).order_by("pk").values(*_COLUMNS_READ)[:BATCH])
        if not batch:
            return
        last = batch[-1]["pk"]
        tags = _tags([row["pk"] for row in batch])
        for row in batch:
            row["tags"] = tags.get(row["pk"], "")
            values = row["attributes"]
            cells = [_yes(row[name]) if name in FLAGS else row[name] for name in IN_FILES]
            yield cells + [_cell(values[name]) if name in values else "" for name in names]


def _tags(ids: list[int]) -> dict[int, str]:
    """Return the tags of each contact as one cell."""
    taggings = Contact.tags.through.objects.filter(is_among("contact_id", ids)).order_by("tag__name")
    names: dict[int, list[str]] = defaultdict(list)
    for contact_id, name in taggings.values_list("contact_id", "tag__name"):
        names[contact_id].append(name)
    # A trailing comma marks commas as separators if the only tag has a semicolon.
    return {pk: ", ".join(tags) + ("," if tags[1:] == [] and ";" in tags[0] else "") for pk, tags in names.items()}


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"


def _cell(value: Any) -> Any:
    return attributes.as_text(value) if isinstance(value, bool) else value
