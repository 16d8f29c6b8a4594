"""The pages of saved audiences."""

from typing import Any, Final

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.db.models.functions import Lower
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from directory.audience_form import SavedAudienceForm
from directory.forms import AudienceListForm
from directory.models import SavedAudience
from directory.saved import audience_delete, audience_reach, audience_save
from project.http import Conflict, Signed
from project.lists import holding, list_shown, tidied

_PAGE: Final = 50


@require_safe
@login_required
def audiences(request: Signed) -> HttpResponse:
    """Everyone's saved audiences."""
    form = AudienceListForm(tidied(request))
    found = SavedAudience.objects.select_related("owner").annotate(lower_name=Lower("name"))
    page = form.page(found.filter(holding(form.read()["q"] or "", "name")), _PAGE)
    return list_shown(request, "directory/audiences.html", {"form": form, "page": page})


@login_required
def audience(request: Signed, pk: int | None = None) -> HttpResponse:
    """Build one, with how many it picks beside it; look at one that is there, and change it if it is yours."""
    saved = get_object_or_404(SavedAudience.objects.select_related("owner"), pk=pk) if pk is not None else None
    form = SavedAudienceForm(request.POST or None, saved=saved)
    if form.is_valid() and _saved(request, form, saved):
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
def audience_count(request: Signed) -> HttpResponse:
    """How many are picked by what is in the form now, and some of them. Nothing is stored."""
    form = SavedAudienceForm(request.POST)
    form.is_valid()
    return render(request, "directory/audience.html#reach", {"reach": audience_reach(form.audience())})


@require_POST
@login_required
def delete(request: Signed, pk: int) -> HttpResponse:
    """Forget one."""
    saved = get_object_or_404(SavedAudience, pk=pk)
    audience_delete(by=request.user, saved=saved)
    messages.success(
        request, _("The audience “%(name)s” is deleted. Campaigns made from it stay as they are.") % {"name": saved}
    )
    return redirect("directory:audiences")


def _saved(request: Signed, form: SavedAudienceForm, saved: SavedAudience | None) -> bool:
    """Whether it could be stored; if not, the form says why."""
    try:
        row = audience_save(by=request.user, name=form.cleaned_data["name"], audience=form.audience(), saved=saved)
    except ValidationError as error:
        form.add_error(None, error)
    except Conflict as error:
        form.add_error("name", str(error))
    else:
        messages.success(request, _("The audience “%(name)s” is saved.") % {"name": row})
        return True
    return False
