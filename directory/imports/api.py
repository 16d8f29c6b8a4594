"""`/imports` of the JSON API."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from ninja import Field, File, Path, Query, Router, Schema, Status, UploadedFile

from accounts.api_access.idempotency import idempotent
from accounts.policies import changeable_by, check_may_change
from directory.contacts.rules import MAX_TAGS
from directory.contacts.upsert import Policy
from directory.fields import IN_FILES
from directory.imports import columns, services
from directory.imports.models import Import, ImportStatus
from directory.imports.trial import import_try
from project.http.body import Body, Error, Flag, Line
from project.http.client import UserRequest
from project.http.lists import contains_words
from project.http.paging import ListQuery, Page, SortedPage, SortedQuery, keyset, page_of, sorted_page

router = Router(tags=["imports"])

ImportId = Annotated[int, Path(ge=1, le=2**63 - 1)]
Column = Annotated[Line, Field(max_length=100)]
FieldName = Annotated[Line, Field(max_length=100)]
_ERRORS: Final = frozenset({401, 403, 404, 422})
_COUNTS: Final = (
    *("created", "updated", "unchanged", "duplicate", "skipped", "not_owned", "rejected"),
    *("removed", "restored", "deactivated", "kept"),
)


class ImportQuery(ListQuery):
    """Filters of the list. All given filters must match."""

    q: Line | None = Field(None, max_length=100, description="Words of the file's name")
    status: ImportStatus | None = Field(None, description="State")


class FormatIn(Body):
    """How to read a draft's file; an omitted field keeps its value. Of workbooks only `has_header` can change."""

    encoding: Literal["utf-8", "cp1251", "utf-16-le", "utf-16-be", "koi8-r", "cp866", "mac-cyrillic", "cp1252"] = Field(
        default_factory=lambda: "utf-8", description="Encoding of the file"
    )
    delimiter: Literal[",", ";", "\t", "|"] = Field(default_factory=lambda: ",", description="Separator of columns")
    has_header: Flag = Field(default_factory=lambda: True, description="Whether the first row has column names")


class StartIn(Body):
    """How to read the columns, and what to do with existing contacts."""

    mapping: dict[Column, FieldName] = Field(
        default_factory=dict,
        max_length=1000,
        description="Columns by name, and the field of each: `phone`, `first_name`, … as in exports, "
        "`attributes.city`, or an empty text to skip it. Columns that are not named keep their guess",
        examples=[{"Телефон": "phone", "Город": "attributes.city", "Заметки": ""}],
    )
    policy: Literal["update", "tag", "skip"] = Field(
        default_factory=lambda: "update", description="For existing contacts: update, add tags only, or skip"
    )
    tags: list[Line] = Field(default_factory=list, max_length=MAX_TAGS, description="Tags for all contacts of the file")
    dry_run: Flag = Field(default_factory=bool, description="Only check the first rows, and write nothing")


class ColumnOut(Schema):
    """A column of the file."""

    name: str
    field: str = Field(description="The field that it is read as; empty: skipped", examples=["phone"])


class ImportOut(Schema):
    """An import, and its progress."""

    id: int
    name: str = Field(description="Name of the file")
    status: ImportStatus = Field(
        description="`reading` until a worker has converted a workbook or vCards, then `draft` until it is started"
    )
    error: str = Field(description="Why it failed; empty if it did not")
    columns: list[ColumnOut] = Field(description="The columns of the file; empty while it is read")
    encoding: str = Field(description="Encoding of the file")
    delimiter: str = Field(description="Separator of columns")
    has_header: bool = Field(description="Whether the first row has column names")
    policy: str = Field(description="For existing contacts: `update`, `tag` or `skip`")
    tags: list[str]
    rows: int | None = Field(description="Number of rows; null: not counted yet")
    done: int = Field(description="Number of processed rows")
    counts: dict[str, int] = Field(
        description="Rows by outcome, and contacts by the outcome of an undo",
        examples=[{"created": 90, "rejected": 10}],
    )
    owner: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class RefusedRow(Schema):
    """A row that would be rejected."""

    row: int = Field(description="Number of the row, as in spreadsheets")
    reason: str = Field(description="Why it would not be imported")


class TrialOut(Schema):
    """The result of a dry run over the first 20 000 rows."""

    rows: int = Field(description="Number of checked rows, the sum of the other three")
    valid: int = Field(description="Number of rows that would be imported")
    duplicate: int = Field(description="Number of rows with the phone of an earlier one")
    rejected: int = Field(description="Number of rows that would be rejected")
    refusals: list[RefusedRow] = Field(description="The first 100 rejected rows")


class RejectedRowOut(RefusedRow):
    """A row that was not imported."""

    cells: list[str] = Field(description="The row, as in the file")
    reason: str = Field(description="Why it was not imported")


def _import_out(row: Import) -> dict[str, Any]:
    """Return the values of `ImportOut`."""
    names = ("name", "status", "error", "encoding", "delimiter", "has_header", "policy", "tags", "rows", "done")
    pairs = zip(row.header, row.mapping, strict=False)
    return {
        **{name: getattr(row, name) for name in (*names, "created_at", "started_at", "finished_at")},
        "id": row.pk,
        "owner": row.owner_id,
        "columns": [{"name": name, "field": field} for name, field in pairs],
        "counts": {name: getattr(row, name) for name in _COUNTS},
    }


def _own_import(request: UserRequest, import_id: int) -> Import:
    """Return the import if the user may see it."""
    row = get_object_or_404(Import, pk=import_id)
    check_may_change(request.user, row)
    return row


@router.get("", response={200: Page[ImportOut], frozenset({401, 422}): Error}, summary="List imports")
def list_imports(request: UserRequest, query: Query[ImportQuery]) -> dict[str, Any]:
    """The user's imports, or all for administrators, newest first."""
    matching: QuerySet[Import] = Import.objects.filter(contains_words(query.q or "", "name"))
    if query.status is not None:
        matching = matching.filter(status=query.status)
    return page_of(keyset(matching.filter(changeable_by(request.user)), query.cursor, query.limit), _import_out)


@router.post("", response={201: ImportOut, frozenset({400, 401, 422}): Error}, summary="Upload a file of contacts")
@idempotent
def create_import(request: UserRequest, file: File[UploadedFile]) -> Any:
    """CSV, XLSX or vCard, as `multipart/form-data`. Nothing is written before `start`.

    The format and the fields of the columns are guessed. Drafts are deleted after a day.
    """
    try:
        row = services.import_create(owner=request.user, name=str(file.name), content=file)
    except ValidationError as error:
        raise ValidationError({"file": error.messages}) from error
    return Status(201, _import_out(row))


@router.get("/{import_id}", response={200: ImportOut, _ERRORS: Error}, summary="Show an import")
def show_import(request: UserRequest, import_id: ImportId) -> Any:
    """An import and its progress, for the user who started it and administrators."""
    return _import_out(_own_import(request, import_id))


@router.patch(
    "/{import_id}", response={200: ImportOut, _ERRORS | {400, 409}: Error}, summary="Change how a file is read"
)
def change_import(request: UserRequest, import_id: ImportId, body: FormatIn) -> Any:
    """For drafts only. The fields of the columns are guessed again."""
    row, changes = _own_import(request, import_id), body.dict(exclude_unset=True)
    if row.workbook and changes.keys() - {"has_header"}:
        raise ValidationError(_("Encoding and separator of a workbook can’t be changed."))
    current = {"encoding": row.encoding, "delimiter": row.delimiter, "has_header": row.has_header}
    services.import_configure(row=row, by=request.user, **{**current, **changes})
    return _import_out(row)


@router.delete("/{import_id}", response={204: None, _ERRORS: Error}, summary="Delete an import")
def delete_import(request: UserRequest, import_id: ImportId) -> Status[None]:
    """Written contacts stay, and can no longer be undone."""
    services.import_discard(row=_own_import(request, import_id), by=request.user)
    return Status(204, None)


@router.post(
    "/{import_id}/start",
    response={200: ImportOut | TrialOut, _ERRORS | {400, 409}: Error},
    summary="Start an import",
)
def start_import(request: UserRequest, import_id: ImportId, body: StartIn) -> Any:
    """Write the contacts of a draft, in the background. With `dry_run`, check its first 20 000 rows instead."""
    row = _own_import(request, import_id)
    plan = services.Plan(_mapping(row, body.mapping), Policy(body.policy), body.tags)
    if body.dry_run:
        trial = import_try(row=row, by=request.user, plan=plan)
        refusals = [{"row": number, "reason": reason} for number, reason in trial.refusals]
        return TrialOut(**{**vars(trial), "refusals": refusals})
    services.import_start(row=row, by=request.user, **plan._asdict())
    return ImportOut(**_import_out(row))


def _mapping(row: Import, given: dict[str, str]) -> list[str]:
    """Return the field of each column. Raises ValidationError for unknown columns and fields."""
    for name, field in given.items():
        if name not in row.header:
            raise ValidationError({"mapping": _("The file has no column “%(name)s”.") % {"name": name}})
        known = not field or field in IN_FILES
        if not known and (not field.startswith(columns.ATTRIBUTE) or columns.attribute_of(field) != field):
            raise ValidationError({"mapping": _("“%(name)s” is not a field of contacts.") % {"name": field}})
    return [given.get(name, field) for name, field in zip(row.header, row.mapping, strict=True)]


@router.post("/{import_id}/stop", response={200: ImportOut, _ERRORS | {409}: Error}, summary="Stop an import")
def stop_import(request: UserRequest, import_id: ImportId) -> Any:
    """Contacts written so far stay, and can be undone."""
    row = _own_import(request, import_id)
    services.import_stop(row=row, by=request.user)
    return _import_out(row)


@router.post("/{import_id}/undo", response={200: ImportOut, _ERRORS | {409}: Error}, summary="Undo an import")
def undo_import(request: UserRequest, import_id: ImportId) -> Any:
    """In the background, within 30 days. Contacts that somebody has changed since stay as they are."""
    row = _own_import(request, import_id)
    services.import_undo(row=row, by=request.user)
    return _import_out(row)


@router.get(
    "/{import_id}/rejected",
    response={200: SortedPage[RejectedRowOut], _ERRORS: Error},
    summary="List rows that were not imported",
)
def list_rejected_rows(request: UserRequest, import_id: ImportId, query: Query[SortedQuery]) -> dict[str, Any]:
    """In the order of the file, each with the reason."""
    page = sorted_page(_own_import(request, import_id).rejected_rows.all(), ("row",), query)
    return {
        "items": [{"row": each.row, "reason": each.reason, "cells": each.cells} for each in page.items],
        "next": page.next,
    }
