"""The pages of the suppression list."""

from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import CharField, Q
from django.db.models.functions import Cast
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_safe

from directory import phones
from directory.forms import ReleaseForm, SuppressForm, SuppressionListForm
from directory.models import Contact, Source, Suppression
from directory.suppression import may_release, release, suppress
from project.http import Signed
from project.lists import list_shown, tidied
from project.numbers import number

_PAGE = 50
_REJECTED_SHOWN = 20


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def suppression(request: Signed) -> HttpResponse:
    """Who is never written to; phones that are posted join them."""
    if request.method == "POST":
        return _add(request)
    form = SuppressForm(initial={"phones": request.GET.get("phone", "")[:40]})
    return list_shown(request, "directory/suppression.html", _listed(request, form))


def _add(request: Signed) -> HttpResponse:
    """Put phones on the list, written or from a file, one a line."""
    form = SuppressForm(request.POST, request.FILES)
    if not form.is_valid():
        return render(request, "directory/suppression.html", _listed(request, form), status=422)
    numbers, rejected = form.read()
    source = Source.IMPORT if form.cleaned_data["file"] else Source.PERSON
    added = suppress(numbers, by=request.user, source=source, reason=form.cleaned_data["reason"])
    said = ngettext("%(number)s phone is added.", "%(number)s phones are added.", added) % {"number": number(added)}
    if already := len(numbers) - added:
        known = ngettext("%(number)s was on the list already.", "%(number)s were on the list already.", already)
        said += " " + known % {"number": number(already)}
    messages.add_message(request, messages.SUCCESS if added else messages.INFO, said)
    if not rejected:
        return redirect("directory:suppression")
    told = {"rejected": rejected[:_REJECTED_SHOWN], "rejected_number": len(rejected)}
    return render(request, "directory/suppression.html", _listed(request, SuppressForm()) | told)


@login_required
def suppression_remove(request: Signed, phone: int) -> HttpResponse:
    """Ask whether a phone may be written to again, then take it off the list."""
    row = get_object_or_404(Suppression.objects.select_related("by"), phone=phone)
    form = ReleaseForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        release(phone, by=request.user)
        messages.success(request, _("%(phone)s may be written to again.") % {"phone": phones.pretty(phone)})
        return redirect("directory:suppression")
    contact = Contact.objects.filter(phone=phone).first()
    context = {"row": row, "form": form, "contact": contact, "may_release": may_release(row, contact, request.user)}
    return render(request, "directory/suppression_remove.html", context)


@require_safe
@login_required
def suppression_export(request: Signed) -> StreamingHttpResponse:
    """All phones of the list, one a line: what can be imported again as it is."""

    def lines() -> Iterator[str]:
        for phone in Suppression.objects.values_list("phone", flat=True).order_by("phone").iterator(chunk_size=5000):
            yield f"{phone}\n"

    headers = {"Content-Disposition": 'attachment; filename="suppression.txt"'}
    return StreamingHttpResponse(lines(), content_type="text/plain; charset=utf-8", headers=headers)


def _listed(request: Signed, adding: SuppressForm) -> dict[str, Any]:
    """What the page shows, with the form by which phones are added."""
    form = SuppressionListForm(tidied(request))
    asked = form.read()
    rows = Suppression.objects.select_related("by")
    digits = Q()
    for variant in phones.searched(asked["q"] or ""):
        digits |= Q(written__contains=variant)
    if digits:
        rows = rows.annotate(written=Cast("phone", CharField())).filter(digits)
    if asked["source"]:
        rows = rows.filter(source=asked["source"])
    page = form.page(rows, _PAGE)
    known = Contact.objects.in_bulk([row.phone for row in page.items], field_name="phone")
    return {
        "form": form,
        "adding": adding,
        "page": page,
        "rows": [(row, (who := known.get(row.phone)), may_release(row, who, request.user)) for row in page.items],
    }
