"""Imports as a worker does them, without a worker."""

from io import BytesIO
from typing import Any

import openpyxl

from accounts.models import User
from directory.imports import services, work
from directory.imports.models import AT_WORK, Import, ImportStatus
from directory.upsert import Policy


def draft(owner: User, content: bytes | str, name: str = "people.csv") -> Import:
    """An import of that file, ready to be started; a workbook has been read."""
    raw = content.encode() if isinstance(content, str) else content
    row = services.import_create(owner=owner, name=name, content=BytesIO(raw))
    return worked(row)


def worked(row: Import) -> Import:
    """The import when no worker has anything to do with it any more."""
    while Import.objects.filter(pk=row.pk, status__in=AT_WORK).exists():
        work.import_advance(row.pk, lambda: False)
    row.refresh_from_db()
    return row


def run(owner: User, content: bytes | str, *, policy: Policy = Policy.UPDATE, tags: tuple[str, ...] = ()) -> Import:
    """The import of that file from beginning to end, with the columns as guessed."""
    row = draft(owner, content)
    if row.status == ImportStatus.FAILED:
        return row
    services.import_start(row=row, by=owner, mapping=row.mapping, policy=policy, tags=tags)
    return worked(row)


def workbook(*rows: list[Any]) -> bytes:
    """An XLSX file of one sheet."""
    book = openpyxl.Workbook()
    for cells in rows:
        book.worksheets[0].append(cells)
    content = BytesIO()
    book.save(content)
    return content.getvalue()
