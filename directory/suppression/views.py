"""Pages of the suppression list."""

from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.forms import Form
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_safe

from directory import phones
from directory.contacts.forms import ReleaseForm, SuppressForm, SuppressionListForm
from directory.models import Contact, Source, Suppression
from directory.suppression.services import release, suppress, suppressions
from project.core.numbers import number
from project.http.client import UserRequest
from project.http.lists import check_understood, clean_query, render_list

_PAGE_SIZE = 50
_MAX_REJECTED_SHOWN = 20


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def suppression(request: UserRequest) -> HttpResponse:
    """Show the list; a POST adds phones."""
    if request.method == "POST":
        return _add(request)
    form = SuppressForm(initial={"phones": request.GET.get("phone", "")[:40]})
    return render_list(request, "directory/suppression.html", _list_context(request, form))


def _add(request: UserRequest) -> HttpResponse:
    """Add phones, typed or from a file, one per line."""
    form = SuppressForm(request.POST, request.FILES)
    if not form.is_valid():
        return render(request, "directory/suppression.html", _list_context(request, form), status=422)
    numbers, rejected = form.read()
    source = Source.IMPORT if form.cleaned_data["file"] else Source.PERSON
    added = suppress(numbers, by=request.user, source=source, reason=form.cleaned_data["reason"])
    message = ngettext("%(number)s phone number added.", "%(number)s phone numbers added.", added) % {
        "number": number(added)
    }
    if already := len(numbers) - added:
        known = ngettext("%(number)s was already on the list.", "%(number)s were already on the list.", already)
        message += " " + known % {"number": number(already)}
    messages.add_message(request, messages.SUCCESS if added else messages.INFO, message)
    if not rejected:
        return redirect("directory:suppression")
    extra = {"rejected": rejected[:_MAX_REJECTED_SHOWN], "rejected_number": len(rejected)}
    return render(request, "directory/suppression.html", _list_context(request, SuppressForm()) | extra)


@login_required
def suppression_remove(request: UserRequest, phone: int) -> HttpResponse:
    """Ask for confirmation, then remove a phone from the list."""
    row = get_object_or_404(Suppression.objects.select_related("by"), phone=phone)
    form = ReleaseForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        release(phone, by=request.user)
        messages.success(request, _("Messages to %(phone)s are allowed again.") % {"phone": phones.pretty(phone)})
        return redirect("directory:suppression")
    contact = Contact.objects.filter(phone=phone).first()
    context = {"row": row, "form": form, "contact": contact, "may_release": request.user.may_change(row)}
    return render(request, "directory/suppression_remove.html", context)


@require_safe
@login_required
def suppression_export(request: UserRequest) -> StreamingHttpResponse:
    """Download all phones, one per line, in a format that can be added again."""
    check_understood(Form(request.GET))

    def lines() -> Iterator[str]:
        for phone in Suppression.objects.values_list("phone", flat=True).order_by("phone").iterator(chunk_size=5000):
            yield f"{phone}\n"

    headers = {"Content-Disposition": 'attachment; filename="suppression.txt"'}
    return StreamingHttpResponse(lines(), content_type="text/plain; charset=utf-8", headers=headers)


def _list_context(request: UserRequest, adding: SuppressForm) -> dict[str, Any]:
    """Return the context of the page, with the form that adds phones."""
    form = SuppressionListForm(clean_query(request))
    values = form.read()
    rows = suppressions(q=values["q"] or "", source=values["source"] or "")
    page = form.page(rows, _PAGE_SIZE)
    known = Contact.objects.in_bulk([row.phone for row in page.items], field_name="phone")
    return {
        "form": form,
        "adding": adding,
        "page": page,
        "rows": [(row, known.get(row.phone), request.user.may_change(row)) for row in page.items],
    }
