"""The pages of bulk actions: what would be done, then how far it is."""

from datetime import timedelta

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from directory.bulk import bulk_scope, bulk_start
from directory.forms import BulkForm
from directory.models import BulkAction, Deed, Tag
from project.http import Signed
from project.numbers import number

_SUGGESTED_TAGS = 200


@require_POST
@login_required
def bulk(request: Signed) -> HttpResponse:
    """What would be done to how many: in the list's dialog, or a page of its own."""
    return _asked(request, BulkForm(request.POST))


@require_POST
@login_required
def bulk_begin(request: Signed) -> HttpResponse:
    """Do it; what is done at once is told on the list, what takes longer on a page of its own."""
    form = BulkForm(request.POST)
    if not form.is_valid():
        return _asked(request, form)
    try:
        action = bulk_start(
            by=request.user, deed=Deed(form.cleaned_data["deed"]), tag=form.cleaned_data["tag"], **form.chosen()
        )
    except ValidationError as error:
        form.add_error(None, error)
        return _asked(request, form)
    if action.finished_at is None:
        return redirect("directory:bulk_action", action.pk)
    messages.success(request, words(action))
    query = form.cleaned_data["query"]
    return redirect(reverse("directory:contacts") + (f"?{query}" if query else ""))


@require_safe
@login_required
def bulk_action(request: Signed, pk: int) -> HttpResponse:
    """How far it is, how fast, and what became of it."""
    action = get_object_or_404(BulkAction.objects.select_related("owner"), pk=pk)
    spent = ((action.finished_at or now()) - action.created_at).total_seconds()
    rate = action.done / spent if spent else 0
    left = max(action.total - action.done, 0) / rate if rate else None
    context = {"action": action, "rate": round(rate), "left": left and timedelta(seconds=left), "words": words(action)}
    response = render(request, f"directory/bulk_action.html{'#progress' if request.htmx else ''}", context)
    patch_vary_headers(response, ["HX-Request"])
    return response


def words(action: BulkAction) -> str:
    """What became of it, in a sentence or two."""
    said = [
        ngettext("%(number)s contact is changed.", "%(number)s contacts are changed.", action.changed)
        % {"number": number(action.changed)}
    ]
    if action.unchanged:
        said.append(_("%(number)s were so already.") % {"number": number(action.unchanged)})
    if action.refused:
        said.append(
            ngettext(
                "%(number)s is left alone: others added it, or it has too many tags.",
                "%(number)s are left alone: others added them, or they have too many tags.",
                action.refused,
            )
            % {"number": number(action.refused)}
        )
    return " ".join(said)


def _asked(request: Signed, form: BulkForm) -> HttpResponse:
    context = {"form": form, "deed": request.POST.get("deed", ""), "tags": []}
    if form.is_valid():
        deed = form.cleaned_data["deed"]
        total, allowed = bulk_scope(by=request.user, **form.chosen())
        context |= {"total": total, "allowed": allowed, "others": total - allowed, "deed": deed}
        if deed in (Deed.TAG, Deed.UNTAG):
            context["tags"] = Tag.objects.values_list("name", flat=True)[:_SUGGESTED_TAGS]
    part = "#body" if request.htmx else ""
    return render(request, f"directory/bulk.html{part}", context)
