"""Imports done like a worker does, without a worker."""

from io import BytesIO
from typing import Any

import openpyxl

from accounts.models import User
from directory.contacts.upsert import Policy
from directory.imports import services, work
from directory.imports.models import AT_WORK, Import, ImportStatus


def draft(owner: User, content: bytes | str, name: str = "people.csv") -> Import:
    """A draft of that file; workbooks are converted."""
    raw = content.encode() if isinstance(content, str) else content
    row = services.import_create(owner=owner, name=name, content=BytesIO(raw))
    return worked(row)


def worked(row: Import) -> Import:
    """Work on an import until it is finished."""
    while Import.objects.filter(pk=row.pk, status__in=AT_WORK).exists():
        work.import_advance(row.pk, lambda: False)
    row.refresh_from_db()
    return row


def run(owner: User, content: bytes | str, *, policy: Policy = Policy.UPDATE, tags: tuple[str, ...] = ()) -> Import:
    """Import a file from beginning to end with the guessed mapping."""
    row = draft(owner, content)
    if row.status == ImportStatus.FAILED:
        return row
    services.import_start(row=row, by=owner, mapping=row.mapping, policy=policy, tags=tags)
    return worked(row)


def workbook(*rows: list[Any]) -> bytes:
    """An XLSX file with one sheet."""
    book = openpyxl.Workbook()
    for cells in rows:
        book.worksheets[0].append(cells)
    content = BytesIO()
    book.save(content)
    return content.getvalue()
