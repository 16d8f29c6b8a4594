"""Pages of tags."""

from typing import Final

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from directory.bulk_actions.views import describe_result
from directory.contacts.forms import TagForm, TagListForm
from directory.models import BulkAction, Tag, Tagging
from directory.tags import removal
from directory.tags.services import check_may_change_tag, may_change_tag, tag_update, tags_with_counts
from project.http.client import UserRequest
from project.http.lists import clean_query, contains_words, render_list

_PAGE_SIZE: Final = 100


@require_safe
@login_required
def tags(request: UserRequest) -> HttpResponse:
    """List all tags with their numbers of contacts."""
    form = TagListForm(clean_query(request))
    rows = tags_with_counts().filter(contains_words(form.read()["q"] or "", "name"))
    return render_list(request, "directory/tags.html", {"form": form, "page": form.page(rows, _PAGE_SIZE)})


@login_required
def tag(request: UserRequest, pk: int) -> HttpResponse:
    """Edit, merge or delete a tag."""
    row = get_object_or_404(Tag, pk=pk)
    may_change = may_change_tag(request.user, row)
    form = TagForm(request.POST or None, tag=row)
    if request.method == "POST" and form.is_valid():
        with form.refusals("name"):
            tag_update(tag=row, by=request.user, version=form.opened, **form.cleaned_data)
            messages.success(request, _("Tag “%(tag)s” saved.") % {"tag": row})
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
def tag_merge(request: UserRequest, pk: int) -> HttpResponse:
    """Replace a tag by another on all its contacts."""
    row = get_object_or_404(Tag, pk=pk)
    check_may_change_tag(request.user, row)
    into = get_object_or_404(Tag.objects.exclude(pk=pk), name=request.POST.get("into", "").replace("\0", ""))
    return _result_response(request, removal.tag_merge(tag=row, into=into, by=request.user))


@require_POST
@login_required
def tag_delete(request: UserRequest, pk: int) -> HttpResponse:
    """Remove a tag from all contacts, and delete it."""
    return _result_response(request, removal.tag_delete(tag=get_object_or_404(Tag, pk=pk), by=request.user))


def _result_response(request: UserRequest, action: BulkAction) -> HttpResponse:
    if action.finished_at is None:
        return redirect("directory:bulk_action", action.pk)
    messages.success(request, describe_result(action))
    return redirect("directory:tags")
