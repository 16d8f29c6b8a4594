"""Pages of saved audiences."""

from typing import Any, Final

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models.functions import Lower
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from directory.audiences.forms import SavedAudienceForm
from directory.audiences.services import audience_delete, audience_reach, audience_save
from directory.contacts.forms import AudienceListForm
from directory.models import SavedAudience
from project.http.client import UserRequest
from project.http.lists import clean_query, contains_words, render_list

_PAGE_SIZE: Final = 50


@require_safe
@login_required
def audiences(request: UserRequest) -> HttpResponse:
    """List all users' saved audiences."""
    form = AudienceListForm(clean_query(request))
    rows = SavedAudience.objects.select_related("owner").annotate(lower_name=Lower("name"))
    page = form.page(rows.filter(contains_words(form.read()["q"] or "", "name")), _PAGE_SIZE)
    return render_list(request, "directory/audiences.html", {"form": form, "page": page})


@login_required
def audience(request: UserRequest, pk: int | None = None) -> HttpResponse:
    """Create, show or edit an audience, with the number of contacts that it selects."""
    saved = get_object_or_404(SavedAudience.objects.select_related("owner"), pk=pk) if pk is not None else None
    form = SavedAudienceForm(request.POST or None, saved=saved)
    if form.is_valid() and _save(request, form, saved):
        return redirect("directory:audiences")
    context: dict[str, Any] = {
        "form": form,
        "saved": saved,
        "may_change": saved is None or request.user.may_change(saved),
        "reach": audience_reach(form.audience()),
    }
    return render(request, "directory/audience.html", context, status=422 if form.is_bound else 200)


@require_POST
@login_required
def audience_count(request: UserRequest) -> HttpResponse:
    """Return the reach of the audience in the form. Nothing is stored."""
    form = SavedAudienceForm(request.POST)
    form.is_valid()
    return render(request, "directory/audience.html#reach", {"reach": audience_reach(form.audience())})


@require_POST
@login_required
def delete(request: UserRequest, pk: int) -> HttpResponse:
    """Delete a saved audience."""
    saved = get_object_or_404(SavedAudience, pk=pk)
    audience_delete(by=request.user, saved=saved)
    messages.success(
        request, _("Audience “%(name)s” deleted. Campaigns created from it are not affected.") % {"name": saved}
    )
    return redirect("directory:audiences")


def _save(request: UserRequest, form: SavedAudienceForm, saved: SavedAudience | None) -> bool:
    """Save the form and return whether it succeeded; otherwise show the errors in the form."""
    with form.refusals("name"):
        row = audience_save(
            by=request.user,
            name=form.cleaned_data["name"],
            audience=form.audience(),
            saved=saved,
            version=form.opened,
        )
        messages.success(request, _("Audience “%(name)s” saved.") % {"name": row})
        return True
    return False
