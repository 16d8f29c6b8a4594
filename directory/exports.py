"""Lists of contacts as files, written while they are read: the first bytes leave at once, and memory stays flat.

What is exported can be imported again and changes nothing.
"""

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final

from django.db import connection
from django.http import StreamingHttpResponse

from directory import attributes
from directory.cells import defused
from directory.imports.columns import ATTRIBUTE, guess
from directory.models import Contact, ContactQuerySet
from directory.sheets import workbook
from project.sql import is_among

BATCH: Final = 5000
_COLUMNS: Final = ("phone", "first_name", "last_name", "tags", "timezone", "operator_code", "opted_out", "is_active")
_READ: Final = ("pk", *(name for name in _COLUMNS if name != "tags"), "attributes")
XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class Echo:
    """A file that gives back what is written to it: so the csv module makes lines."""

    def write(self, text: str) -> str:
        """The text."""
        return text


def contacts_csv(found: ContactQuerySet) -> StreamingHttpResponse:
    """The contacts as CSV, in UTF-8 with a mark, by which spreadsheets know it."""
    return attachment(_lines(found), "contacts.csv")


def contacts_xlsx(found: ContactQuerySet) -> StreamingHttpResponse:
    """The contacts as a workbook."""
    names = attribute_names(found)
    rows = ([cells[0], *map(defused_if_text, cells[1:])] for cells in contact_rows(found, names))
    return attachment(workbook(header(names), rows), "contacts.xlsx", XLSX)


def attachment(content: Iterable[Any], name: str, kind: str = "text/csv; charset=utf-8") -> StreamingHttpResponse:
    """A file to be saved, streamed."""
    response = StreamingHttpResponse(content, content_type=kind)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["X-Accel-Buffering"] = "no"  # a proxy may not hold it back
    return response


def _lines(found: ContactQuerySet) -> Iterator[str]:
    writer = csv.writer(Echo())
    names = attribute_names(found)
    yield "\ufeff" + writer.writerow(header(names))
    block: list[str] = []
    for cells in contact_rows(found, names):
        block.append(writer.writerow([defused_if_text(cell) for cell in cells]))
        if len(block) == 500:
            yield "".join(block)
            block.clear()
    yield "".join(block)


def defused_if_text(cell: Any) -> Any:
    """Numbers stay numbers."""
    return defused(cell) if isinstance(cell, str) else cell


def header(names: list[str]) -> list[str]:
    """Names by which an import knows the columns again."""
    return [*_COLUMNS, *(name if guess([name]) == [ATTRIBUTE + name] else ATTRIBUTE + name for name in names)]


def attribute_names(found: ContactQuerySet) -> list[str]:
    """All attributes that any of the contacts has."""
    select, parameters = found.order_by().values_list("attributes").query.sql_with_params()
    keys = "jsonb_object_keys(attributes)" if connection.vendor == "postgresql" else "json_each.key"
    join = "" if connection.vendor == "postgresql" else ", json_each(attributes)"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT DISTINCT {keys} FROM (SELECT DISTINCT attributes FROM ({select}) AS found) AS various{join}",  # noqa: S608
            parameters,
        )
        return sorted(name for (name,) in cursor.fetchall())


def contact_rows(found: ContactQuerySet, names: list[str]) -> Iterator[list[Any]]:
    """The cells of each contact, in the order of their ids: a page after the other, so that nothing is held open."""
    last = 0
    while True:
        batch = list(found.filter(pk__gt=last).order_by("pk").values_list(*_READ)[:BATCH])
        if not batch:
            return
        last = batch[-1][0]
        tags = _tags([row[0] for row in batch])
        for pk, phone, first, second, zone, code, opted_out, is_active, told in batch:
            fixed = [phone, first, second, tags.get(pk, ""), zone, code, _yes(opted_out), _yes(is_active)]
            yield fixed + [_cell(told[name]) if name in told else "" for name in names]


def _tags(ids: list[int]) -> dict[int, str]:
    """The tags of these contacts, each list in one cell."""
    ties = Contact.tags.through.objects.filter(is_among("contact_id", ids)).order_by("tag__name")
    names: dict[int, list[str]] = defaultdict(list)
    for contact_id, name in ties.values_list("contact_id", "tag__name"):
        names[contact_id].append(name)
    # A comma says that it is commas that separate, where a semicolon could be taken for it.
    return {pk: ", ".join(tags) + ("," if tags[1:] == [] and ";" in tags[0] else "") for pk, tags in names.items()}


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"


def _cell(value: Any) -> Any:
    return attributes.written(value) if isinstance(value, bool) else value
