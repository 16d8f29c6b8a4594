"""The pages of imports."""

import csv
from collections.abc import Callable, Iterator
from typing import Any, Final

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import HttpResponseClientRedirect, HttpResponseClientRefresh

from directory.cells import defused
from directory.exports import Echo, attachment
from directory.imports import files, services
from directory.imports.forms import ImportListForm, LookForm, StartForm, UploadForm
from directory.imports.models import AT_WORK, Import, ImportStatus, SetAside
from directory.imports.progress import progress_of
from directory.models import Contact, Tag
from project.http import Conflict, Signed, refusal_shown
from project.lists import holding, list_shown, tidied

_PAGE: Final = 30
_ROWS: Final = 50
_SAMPLES: Final = 3
_SUGGESTED_TAGS: Final = 200
_ACTIONS: Final[dict[str, tuple[Callable[..., Any], Any]]] = {
    "stop": (services.import_stop, gettext_lazy("“%(name)s” is stopped. What is written stays.")),
    "undo": (services.import_undo, gettext_lazy("“%(name)s” is being undone.")),
    "discard": (services.import_discard, gettext_lazy("“%(name)s” is discarded. Nothing was written.")),
}


@login_required
def imports(request: Signed) -> HttpResponse:
    """One's own imports, an administrator's view of all, and the place to drop a file."""
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
    listed = ImportListForm(tidied(request))
    asked = listed.read()
    found = Import.objects.select_related("owner").filter(holding(asked["q"] or "", "name"))
    if asked["status"]:
        found = found.filter(status=asked["status"])
    if not request.user.is_staff:
        found = found.filter(owner=request.user)
    context = {"upload": form, "form": listed, "page": listed.page(found, _PAGE), "most": services.MAX_SIZE}
    if request.method != "POST":
        return list_shown(request, "directory/imports.html", context)
    part = "#upload" if request.htmx else ""
    return _varied(render(request, f"directory/imports.html{part}", context, status=422), "HX-Request")


@login_required
def import_(request: Signed, pk: int) -> HttpResponse:
    """A draft with its columns, which a POST starts; then how far it is, and in the end the report."""
    row = _own(request, pk)
    if request.htmx and request.htmx.target == "progress":
        if request.GET.get("seen") != row.status:
            return HttpResponseClientRefresh()
        return _varied(render(request, "directory/import.html#progress", _figures(row)), "HX-Request")
    if row.status == ImportStatus.DRAFT:
        return _draft(request, row)
    aside = row.rows_set_aside.order_by("row")
    after = request.GET.get("after", "")
    if after.isdecimal() and len(after) < 10:
        aside = aside.filter(row__gt=int(after))
    rows = list(aside[: _ROWS + 1])
    context = _figures(row) | {
        "rows": rows[:_ROWS],
        "next": rows[_ROWS - 1].row if len(rows) > _ROWS else None,
        "kept": Contact.objects.filter(pk__in=row.kept_contacts).order_by("pk"),
        "undoable": row.status not in AT_WORK and row.undoable,
    }
    return _varied(render(request, "directory/import.html", context), "HX-Request")


def _figures(row: Import) -> dict[str, Any]:
    return {"import": row, "progress": progress_of(row), "live": row.status in AT_WORK}


def _draft(request: Signed, row: Import) -> HttpResponse:
    form = StartForm(request.POST if request.method == "POST" else None, row)
    if form.is_valid():
        try:
            services.import_start(row=row, by=request.user, **form.values())
        except ValidationError as error:
            form.add_error(None, " ".join(error.messages))
        else:
            return redirect("directory:import", row.pk)
    return _draft_page(request, row, form, LookForm(None, row))


def _draft_page(request: Signed, row: Import, form: StartForm, look: LookForm) -> HttpResponse:
    rows = files.first_rows(row, _SAMPLES + row.headed)[row.headed :]
    samples = [[each.cells[n] for each in rows if n < len(each.cells)] for n in range(len(row.header))]
    context = {
        "import": row,
        "form": form,
        "look": look,
        "columns": list(zip(form.columns(), samples, strict=True)),
        "tags": Tag.objects.values_list("name", flat=True)[:_SUGGESTED_TAGS],
        "encoding": files.ENCODINGS.get(row.encoding, row.encoding),
        "delimiter": files.DELIMITERS.get(row.delimiter, row.delimiter),
    }
    part = "#draft" if request.htmx else ""
    status = 422 if form.errors or look.errors else 200
    return _varied(render(request, f"directory/import_draft.html{part}", context, status=status), "HX-Request")


@require_POST
@login_required
def import_look(request: Signed, pk: int) -> HttpResponse:
    """Read a draft's file in another way."""
    row = _own(request, pk)
    look = LookForm(request.POST, row)
    if look.is_valid():
        try:
            services.import_configure(row=row, by=request.user, **look.cleaned_data)
        except Conflict:
            return redirect("directory:import", pk)
        except ValidationError as error:
            look.add_error(None, " ".join(error.messages))
            row.refresh_from_db()
    if not look.errors and not request.htmx:
        return redirect("directory:import", pk)
    return _draft_page(request, row, StartForm(None, row), look)


@require_POST
@login_required
def import_act(request: Signed, pk: int, action: str) -> HttpResponse:
    """Stop, undo, or discard."""
    row = _own(request, pk)
    if action not in _ACTIONS:
        raise Http404
    act, said = _ACTIONS[action]
    with refusal_shown(request):
        act(row=row, by=request.user)
        messages.success(request, said % {"name": row})
        if action == "discard":
            return redirect("directory:imports")
    return redirect("directory:import", pk)


@require_safe
@login_required
def import_rows(request: Signed, pk: int) -> StreamingHttpResponse:
    """The rows that were not written, as a file that can be mended and imported again."""
    row = _own(request, pk)
    return attachment(_mendable(row), f"rows-{row.pk}.csv")


def _mendable(row: Import) -> Iterator[str]:
    """As they stood in the file, with number and reason behind, in columns that an import passes over."""
    writer = csv.writer(Echo())
    header = [*map(defused, row.header), "row", "reason"]
    yield "\ufeff" + writer.writerow(header)
    for aside in SetAside.objects.filter(of=row).order_by("row").iterator(2000):
        cells = [defused(cell) for cell in aside.cells[: len(row.header)]]
        cells += [""] * (len(row.header) - len(cells))
        yield writer.writerow([*cells, aside.row, defused(aside.reason)])


def _own(request: Signed, pk: int) -> Import:
    """The import, if the user may see it; else 403."""
    row = get_object_or_404(Import.objects.select_related("owner"), pk=pk)
    services.check_may_see(row, request.user)
    return row


def _varied(response: HttpResponse, *headers: str) -> HttpResponse:
    """The same address answers htmx with a part: caches must not mix them up."""
    patch_vary_headers(response, headers)
    return response
