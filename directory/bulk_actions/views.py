"""Pages of bulk actions: confirmation, then progress."""

from datetime import timedelta

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from accounts.policies import check_may_change
from directory.bulk_actions.work import bulk_scope, bulk_start
from directory.contacts.forms import BulkForm
from directory.models import BulkAction, BulkActionType, Tag
from project.core.clock import now
from project.core.numbers import number
from project.http.client import UserRequest

_SUGGESTED_TAGS = 200


@require_POST
@login_required
def bulk(request: UserRequest) -> HttpResponse:
    """Ask for confirmation, with the number of contacts: in the list's dialog or on a page."""
    return _confirmation(request, BulkForm(request.POST))


@require_POST
@login_required
def bulk_begin(request: UserRequest) -> HttpResponse:
    """Start the action. Show the result on the list, or the progress on a page if it takes longer."""
    form = BulkForm(request.POST)
    if not form.is_valid():
        return _confirmation(request, form)
    try:
        action = bulk_start(
            by=request.user,
            kind=BulkActionType(form.cleaned_data["kind"]),
            tag=form.cleaned_data["tag"],
            **form.selection(),
        )
    except ValidationError as error:
        form.add_error(None, error)
        return _confirmation(request, form)
    if action.finished_at is None:
        return redirect("directory:bulk_action", action.pk)
    messages.success(request, describe_result(action))
    query = form.cleaned_data["query"]
    return redirect(reverse("directory:contacts") + (f"?{query}" if query else ""))


@require_safe
@login_required
def bulk_action(request: UserRequest, pk: int) -> HttpResponse:
    """Show progress, speed and result."""
    action = get_object_or_404(BulkAction.objects.select_related("owner"), pk=pk)
    check_may_change(request.user, action)
    seconds_spent = ((action.finished_at or now()) - action.created_at).total_seconds()
    rate = action.done / seconds_spent if seconds_spent else 0
    seconds_left = max(action.total - action.done, 0) / rate if rate else None
    context = {
        "action": action,
        "rate": round(rate),
        "left": seconds_left and timedelta(seconds=seconds_left),
        "words": describe_result(action),
    }
    response = render(request, f"directory/bulk_action.html{'#progress' if request.htmx else ''}", context)
    patch_vary_headers(response, ["HX-Request"])
    return response


def describe_result(action: BulkAction) -> str:
    """Describe the result in a sentence or two."""
    sentences = [
        ngettext("%(number)s contact changed.", "%(number)s contacts changed.", action.changed)
        % {"number": number(action.changed)}
    ]
    if action.unchanged:
        sentences.append(_("%(number)s needed no change.") % {"number": number(action.unchanged)})
    if action.refused:
        sentences.append(
            ngettext(
                "%(number)s was not changed: another user added it, it was erased, or it has too many tags.",
                "%(number)s were not changed: other users added them, they were erased, or they have too many tags.",
                action.refused,
            )
            % {"number": number(action.refused)}
        )
    return " ".join(sentences)


def _confirmation(request: UserRequest, form: BulkForm) -> HttpResponse:
    context = {"form": form, "kind": request.POST.get("kind", ""), "tags": []}
    if form.is_valid():
        kind = form.cleaned_data["kind"]
        total, allowed = bulk_scope(by=request.user, **form.selection())
        context |= {"total": total, "allowed": allowed, "others": total - allowed, "kind": kind}
        if kind in (BulkActionType.TAG, BulkActionType.UNTAG):
            context["tags"] = Tag.objects.values_list("name", flat=True)[:_SUGGESTED_TAGS]
    part = "#body" if request.htmx else ""
    return render(request, f"directory/bulk.html{part}", context)
