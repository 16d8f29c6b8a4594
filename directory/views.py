"""The pages of the directory."""

from collections.abc import Callable

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.html import format_html
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.history import history_of
from directory import phones
from directory.erasure import contact_erase
from directory.exports import contacts_csv, contacts_xlsx
from directory.forms import ContactForm, FilterForm
from directory.listing import contacts_page, number_of
from directory.models import BulkAction, Contact, Deed, Suppression, Tag
from directory.services import NOT_YOURS, contact_create, contact_deactivate, contact_update
from project.http import Conflict, Signed, refusal_shown
from project.lists import list_shown, tidied

_PAGE = 50
_SUGGESTED_TAGS = 200


@require_safe
@login_required
def contacts(request: Signed) -> HttpResponse:
    """The list: a live search asks for its lower part only, by the same address."""
    asked = tidied(request)
    form = FilterForm(asked)
    filters = form.filters()
    many = number_of(Contact.objects.narrow(**filters))
    query = asked.copy()
    query.pop("cursor", None)
    context = {
        "form": form,
        "page": contacts_page(filters, many, sort=form.sort(), cursor=form.read()["cursor"], limit=_PAGE),
        "many": many,
        "more": asked.keys() & {"tag", "operator_code", "timezone", "owner", "added_from", "added_to"},
        "query": query.urlencode(),
        "deeds": _deeds(request.GET.get("state", "")),
    }
    if not request.htmx:
        context["working"] = BulkAction.objects.filter(owner=request.user, finished_at=None).order_by("-pk").first()
    return list_shown(request, "directory/contacts.html", context)


def _deeds(state: str) -> list[tuple[str, str]]:
    """What can be done to the contacts of a list, by its filter of states."""
    deeds = [(Deed.TAG.value, _("Add a tag…")), (Deed.UNTAG.value, _("Remove a tag…"))]
    if state != "deactivated":
        deeds.append((Deed.DEACTIVATE.value, _("Deactivate…")))
    if state in ("deactivated", "all"):
        deeds.append((Deed.REACTIVATE.value, _("Bring back…")))
    return deeds


@require_safe
@login_required
def contacts_export(request: Signed, kind: str) -> StreamingHttpResponse:
    """What the list shows with these filters, all pages of it, as a file."""
    found = Contact.objects.narrow(**FilterForm(request.GET).filters())
    return {"csv": contacts_csv, "xlsx": contacts_xlsx}[kind](found)


@require_safe
@login_required
def contact(request: Signed, pk: int) -> HttpResponse:
    """Everything that the directory knows of one contact."""
    row = get_object_or_404(Contact.objects.select_related("owner").prefetch_related("tags"), pk=pk)
    context = {
        "contact": row,
        "may_change": request.user.may_change(row) and not row.erased,
        "clock": now(),
        "suppression": Suppression.objects.filter(phone=row.phone).select_related("by").first(),
        "history": history_of(row),
    }
    return render(request, "directory/contact.html", context)


@login_required
def contact_add(request: Signed) -> HttpResponse:
    """The form of a new contact."""
    form = ContactForm(request.POST or None)
    row = _saved(form, lambda: contact_create(owner=request.user, **form.cleaned_data))
    if row is None:
        return _form_page(request, form)
    messages.success(request, _("%(contact)s is added.") % {"contact": row})
    return redirect("directory:contact", row.pk)


@login_required
def contact_edit(request: Signed, pk: int) -> HttpResponse:
    """The form of a contact that is there."""
    row = get_object_or_404(Contact, pk=pk)
    if not request.user.may_change(row):
        raise PermissionDenied(NOT_YOURS)
    if row.erased:
        raise Http404
    form = ContactForm(request.POST or None, contact=row)
    changed = _saved(form, lambda: contact_update(contact=row, by=request.user, **form.cleaned_data))
    if changed is None:
        return _form_page(request, form, row)
    messages.success(request, _("%(contact)s is saved.") % {"contact": changed})
    return redirect("directory:contact", row.pk)


@require_POST
@login_required
def deactivate(request: Signed, pk: int) -> HttpResponse:
    """Take a contact out of every audience."""
    with refusal_shown(request):
        row = contact_deactivate(contact=get_object_or_404(Contact, pk=pk), by=request.user)
        undo = reverse("directory:contact_reactivate", args=[pk])
        messages.success(request, _("%(contact)s is deactivated.") % {"contact": row}, extra_tags=undo)
    return redirect("directory:contact", pk)


@require_POST
@login_required
def reactivate(request: Signed, pk: int) -> HttpResponse:
    """Bring a deactivated contact back."""
    with refusal_shown(request):
        row = contact_update(contact=get_object_or_404(Contact, pk=pk), by=request.user, is_active=True)
        messages.success(request, _("%(contact)s is active again.") % {"contact": row})
    return redirect("directory:contact", pk)


@require_POST
@login_required
def erase(request: Signed, pk: int) -> HttpResponse:
    """Forget a person."""
    with refusal_shown(request):
        contact_erase(contact=get_object_or_404(Contact, pk=pk), by=request.user)
        messages.success(request, _("The contact is erased. The figures of its campaigns are as they were."))
        return redirect("directory:contacts")
    return redirect("directory:contact", pk)


def _saved(form: ContactForm, save: Callable[[], Contact]) -> Contact | None:
    """What `save` makes of a valid form, or None with its refusal beside the fields."""
    if not form.is_valid():
        return None
    try:
        return save()
    except ValidationError as error:
        form.add_error(None, error)
    except Conflict as error:
        twin = Contact.objects.get(phone=phones.normalise(form.cleaned_data["phone"]))
        address = reverse("directory:contact", args=[twin.pk])
        form.add_error("phone", format_html('{} <a href="{}">{}</a>', str(error), address, twin))
    return None


def _form_page(request: Signed, form: ContactForm, row: Contact | None = None) -> HttpResponse:
    tags = Tag.objects.values_list("name", flat=True)[:_SUGGESTED_TAGS]
    return render(request, "directory/contact_form.html", {"form": form, "contact": row, "tags": tags})
