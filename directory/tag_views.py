"""The pages of tags."""

from typing import Final

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from directory.bulk import bulk_start
from directory.bulk_views import words
from directory.forms import TagForm, TagListForm
from directory.models import BulkAction, Deed, Tag, Tagging
from directory.tags import check_may_change, may_change_tag, tag_update, tags_counted
from project.http import Conflict, Signed
from project.lists import holding, list_shown, tidied

_PAGE: Final = 100


@require_safe
@login_required
def tags(request: Signed) -> HttpResponse:
    """All tags, with how many contacts each has."""
    form = TagListForm(tidied(request))
    found = tags_counted().filter(holding(form.read()["q"] or "", "name"))
    return list_shown(request, "directory/tags.html", {"form": form, "page": form.page(found, _PAGE)})


@login_required
def tag(request: Signed, pk: int) -> HttpResponse:
    """Name and colour of a tag, and the ways to be rid of it."""
    row = get_object_or_404(Tag, pk=pk)
    may_change = may_change_tag(request.user, row)
    form = TagForm(request.POST or None, tag=row)
    if request.method == "POST" and form.is_valid():
        try:
            tag_update(tag=row, by=request.user, **form.cleaned_data)
        except ValidationError as error:
            form.add_error(None, error)
        except Conflict as error:
            form.add_error("name", str(error))
        else:
            messages.success(request, _("The tag “%(tag)s” is saved.") % {"tag": row})
            return redirect("directory:tags")
    context = {
        "tag": get_object_or_404(Tag, pk=pk),
        "form": form,
        "may_change": may_change,
        "contacts": Tagging.objects.filter(tag=row).count(),
        "others": Tag.objects.exclude(pk=pk) if may_change else [],
    }
    return render(request, "directory/tag.html", context, status=422 if form.is_bound else 200)


@require_POST
@login_required
def tag_merge(request: Signed, pk: int) -> HttpResponse:
    """Give all contacts of a tag another one in its place."""
    row = get_object_or_404(Tag, pk=pk)
    check_may_change(request.user, row)
    into = get_object_or_404(Tag.objects.exclude(pk=pk), name=request.POST.get("into", "").replace("\0", ""))
    return _told(request, _whole(request, row, Deed.MERGE, into.name))


@require_POST
@login_required
def tag_delete(request: Signed, pk: int) -> HttpResponse:
    """Take a tag from all contacts, and forget it."""
    row = get_object_or_404(Tag, pk=pk)
    check_may_change(request.user, row)
    return _told(request, _whole(request, row, Deed.DELETE_TAG))


def _whole(request: Signed, row: Tag, deed: Deed, into: str = "") -> BulkAction:
    return bulk_start(by=request.user, deed=deed, tag=row.name, into=into, filters={"tags": [row.name]})


def _told(request: Signed, action: BulkAction) -> HttpResponse:
    if action.finished_at is None:
        return redirect("directory:bulk_action", action.pk)
    messages.success(request, words(action))
    return redirect("directory:tags")
