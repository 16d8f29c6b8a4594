"""Pages of imports."""

import csv
from collections.abc import Callable, Iterator
from typing import Any, Final

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.forms import Form
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import HttpResponseClientRedirect, HttpResponseClientRefresh

from accounts.policies import changeable_by, check_may_change
from directory.exports.cells import escape_formula
from directory.exports.contacts import Echo, attachment
from directory.imports import files, services
from directory.imports.forms import FileFormatForm, ImportListForm, StartForm, UploadForm
from directory.imports.models import AT_WORK, Import, ImportStatus, RejectedRow
from directory.imports.progress import progress_of
from directory.models import Contact, Tag
from project.http.client import UserRequest
from project.http.errors import Conflict, show_refusal
from project.http.lists import check_understood, clean_query, contains_words, render_list

_PAGE_SIZE: Final = 30
_ROWS_PER_PAGE: Final = 50
_SAMPLE_ROWS: Final = 3
_SUGGESTED_TAGS: Final = 200
_ACTIONS: Final[dict[str, tuple[Callable[..., Any], Any]]] = {
    "stop": (services.import_stop, gettext_lazy("Import of “%(name)s” stopped. Contacts imported so far are kept.")),
    "undo": (services.import_undo, gettext_lazy("Import of “%(name)s” is being undone.")),
    "discard": (services.import_discard, gettext_lazy("Import of “%(name)s” deleted.")),
}


@login_required
def imports(request: UserRequest) -> HttpResponse:
    """List the user's imports, or all for administrators, with a form to upload a file."""
    form = UploadForm(request.POST, request.FILES) if request.method == "POST" else UploadForm()
    if form.is_valid():
        file = form.cleaned_data["file"]
        try:
            row = services.import_create(owner=request.user, name=file.name, content=file)
        except ValidationError as error:
            form.add_error("file", error)
        else:
            address = reverse("directory:import", args=[row.pk])
            return HttpResponseClientRedirect(address) if request.htmx else redirect(address)
    listed = ImportListForm(clean_query(request))
    values = listed.read()
    rows_found = Import.objects.select_related("owner").filter(contains_words(values["q"] or "", "name"))
    if values["status"]:
        rows_found = rows_found.filter(status=values["status"])
    rows_found = rows_found.filter(changeable_by(request.user))
    context = {"upload": form, "form": listed, "page": listed.page(rows_found, _PAGE_SIZE), "most": services.MAX_SIZE}
    if request.method != "POST":
        return render_list(request, "directory/imports.html", context)
    part = "#upload" if request.htmx else ""
    return _vary(render(request, f"directory/imports.html{part}", context, status=422), "HX-Request")


@login_required
def import_(request: UserRequest, pk: int) -> HttpResponse:
    """Show a draft with its columns, which a POST starts; then progress and result."""
    row = _get_import(request, pk)
    if request.htmx and request.htmx.target == "progress":
        if request.GET.get("seen") != row.status:
            return HttpResponseClientRefresh()
        return _vary(render(request, "directory/import.html#progress", _progress_context(row)), "HX-Request")
    if row.status == ImportStatus.DRAFT:
        return _draft(request, row)
    rejected_rows = row.rejected_rows.order_by("row")
    after = request.GET.get("after", "")
    if after.isdecimal() and len(after) < 10:
        rejected_rows = rejected_rows.filter(row__gt=int(after))
    rows = list(rejected_rows[: _ROWS_PER_PAGE + 1])
    context = _progress_context(row) | {
        "rows": rows[:_ROWS_PER_PAGE],
        "next": rows[_ROWS_PER_PAGE - 1].row if len(rows) > _ROWS_PER_PAGE else None,
        "kept": Contact.objects.filter(pk__in=row.kept_contacts).order_by("pk"),
        "undoable": row.status not in AT_WORK and row.undoable,
    }
    return _vary(render(request, "directory/import.html", context), "HX-Request")


def _progress_context(row: Import) -> dict[str, Any]:
    return {"import": row, "progress": progress_of(row), "live": row.status in AT_WORK}


def _draft(request: UserRequest, row: Import) -> HttpResponse:
    form = StartForm(request.POST if request.method == "POST" else None, row)
    if form.is_valid():
        try:
            services.import_start(row=row, by=request.user, **form.values())
        except ValidationError as error:
            form.add_error(None, " ".join(error.messages))
        else:
            return redirect("directory:import", row.pk)
    return _draft_page(request, row, form, FileFormatForm(None, row))


def _draft_page(request: UserRequest, row: Import, form: StartForm, format_form: FileFormatForm) -> HttpResponse:
    rows = files.first_rows(row, _SAMPLE_ROWS + row.has_header)[row.has_header :]
    samples = [[each.cells[n] for each in rows if n < len(each.cells)] for n in range(len(row.header))]
    context = {
        "import": row,
        "form": form,
        "format_form": format_form,
        "columns": list(zip(form.columns(), samples, strict=True)),
        "tags": Tag.objects.values_list("name", flat=True)[:_SUGGESTED_TAGS],
        "encoding": files.ENCODINGS.get(row.encoding, row.encoding),
        "delimiter": files.DELIMITERS.get(row.delimiter, row.delimiter),
    }
    part = "#draft" if request.htmx else ""
    status = 422 if form.errors or format_form.errors else 200
    return _vary(render(request, f"directory/import_draft.html{part}", context, status=status), "HX-Request")


@require_POST
@login_required
def import_format(request: UserRequest, pk: int) -> HttpResponse:
    """Change how a draft's file is read."""
    row = _get_import(request, pk)
    format_form = FileFormatForm(request.POST, row)
    if format_form.is_valid():
        try:
            services.import_configure(row=row, by=request.user, **format_form.cleaned_data)
        except Conflict:
            return redirect("directory:import", pk)
        except ValidationError as error:
            format_form.add_error(None, " ".join(error.messages))
            row.refresh_from_db()
    if not format_form.errors and not request.htmx:
        return redirect("directory:import", pk)
    return _draft_page(request, row, StartForm(None, row), format_form)


@require_POST
@login_required
def import_act(request: UserRequest, pk: int, action: str) -> HttpResponse:
    """Stop, undo or discard an import."""
    row = _get_import(request, pk)
    if action not in _ACTIONS:
        raise Http404
    service, message = _ACTIONS[action]
    with show_refusal(request):
        service(row=row, by=request.user)
        messages.success(request, message % {"name": row})
        if action == "discard":
            return redirect("directory:imports")
    return redirect("directory:import", pk)


@require_safe
@login_required
def import_rows(request: UserRequest, pk: int) -> StreamingHttpResponse:
    """Download the rows that were not written, to fix and import them again."""
    row = _get_import(request, pk)
    check_understood(Form(request.GET))
    return attachment(_fixable_rows(row), f"rows-{row.pk}.csv")


def _fixable_rows(row: Import) -> Iterator[str]:
    """Return the rows as in the file. Number and reason follow in columns that an import ignores."""
    writer = csv.writer(Echo())
    header = [*map(escape_formula, row.header), "row", "reason"]
    yield "\ufeff" + writer.writerow(header)
    for rejected_rows in RejectedRow.objects.filter(import_job=row).order_by("row").iterator(2000):
        cells = [escape_formula(cell) for cell in rejected_rows.cells[: len(row.header)]]
        cells += [""] * (len(row.header) - len(cells))
        yield writer.writerow([*cells, rejected_rows.row, escape_formula(rejected_rows.reason)])


def _get_import(request: UserRequest, pk: int) -> Import:
    """Return the import if the user may see it; otherwise 403."""
    row = get_object_or_404(Import.objects.select_related("owner"), pk=pk)
    check_may_change(request.user, row)
    return row


def _vary(response: HttpResponse, *headers: str) -> HttpResponse:
    """Vary the cache by headers: the same URL answers htmx with a part of the page."""
    patch_vary_headers(response, headers)
    return response
