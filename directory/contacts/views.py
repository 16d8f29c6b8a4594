"""Pages of contacts."""

from collections.abc import Callable

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.audit_log import history_of
from accounts.optimistic_locking import Stale
from directory import phones
from directory.contacts.erasure import contact_erase
from directory.contacts.forms import ContactForm, FilterForm
from directory.contacts.listing import contacts_page, count_or_estimate
from directory.contacts.policies import check_may_change_contact, may_change_contact
from directory.contacts.services import contact_create, contact_deactivate, contact_update
from directory.exports.contacts import contacts_csv, contacts_xlsx
from directory.models import BulkAction, BulkActionType, Contact, Suppression, Tag
from project.core.clock import now
from project.http.client import UserRequest
from project.http.errors import Conflict, show_refusal
from project.http.lists import check_understood, clean_query, render_list

_PAGE_SIZE = 50
_SUGGESTED_TAGS = 200


@require_safe
@login_required
def contacts(request: UserRequest) -> HttpResponse:
    """List contacts. A live search requests only the lower part, with the same URL."""
    query_data = clean_query(request)
    form = FilterForm(query_data)
    filters = form.filters()
    count = count_or_estimate(Contact.objects.narrow(**filters))
    query = query_data.copy()
    query.pop("cursor", None)
    context = {
        "form": form,
        "page": contacts_page(filters, count, sort=form.sort(), cursor=form.read()["cursor"], limit=_PAGE_SIZE),
        "many": count,
        "more": form.uses_more,
        "query": query.urlencode(),
        "actions": _offered_actions(request.GET.get("state", "")),
    }
    if not request.htmx:
        context["working"] = BulkAction.objects.filter(owner=request.user, finished_at=None).order_by("-pk").first()
    return render_list(request, "directory/contacts.html", context)


def _offered_actions(state: str) -> list[tuple[str, str]]:
    """Return the actions that fit the list's state filter."""
    actions = [(BulkActionType.TAG.value, _("Add a tag…")), (BulkActionType.UNTAG.value, _("Remove a tag…"))]
    if state != "deactivated":
        actions.append((BulkActionType.DEACTIVATE.value, _("Deactivate…")))
    if state in ("deactivated", "all"):
        actions.append((BulkActionType.REACTIVATE.value, _("Reactivate…")))
    return actions


@require_safe
@login_required
def contacts_export(request: UserRequest, kind: str) -> StreamingHttpResponse:
    """Download all contacts that match the filters."""
    form = FilterForm(request.GET)
    check_understood(form)
    contacts_found = Contact.objects.narrow(**form.filters())
    return {"csv": contacts_csv, "xlsx": contacts_xlsx}[kind](contacts_found)


@require_safe
@login_required
def contact(request: UserRequest, pk: int) -> HttpResponse:
    """Show a contact."""
    row = get_object_or_404(Contact.objects.select_related("owner").prefetch_related("tags"), pk=pk)
    context = {
        "contact": row,
        "may_change": may_change_contact(request.user, row),
        "clock": now(),
        "suppression": Suppression.objects.filter(phone=row.phone).select_related("by").first(),
        "history": history_of(row),
    }
    return render(request, "directory/contact.html", context)


@login_required
def contact_add(request: UserRequest) -> HttpResponse:
    """Add a contact."""
    form = ContactForm(request.POST or None)
    row = _save(form, lambda: contact_create(owner=request.user, **form.cleaned_data))
    if row is None:
        return _form_page(request, form)
    messages.success(request, _("%(contact)s added.") % {"contact": row})
    if row.landline_warned:
        messages.warning(request, _("This is a landline or service number and can’t receive SMS."))
    return redirect("directory:contact", row.pk)


@login_required
def contact_edit(request: UserRequest, pk: int) -> HttpResponse:
    """Edit a contact."""
    row = get_object_or_404(Contact, pk=pk)
    if row.erased:
        raise Http404
    check_may_change_contact(request.user, row)
    form = ContactForm(request.POST or None, contact=row)
    updated = _save(form, lambda: contact_update(contact=row, by=request.user, version=form.opened, **form.changes()))
    if updated is None:
        return _form_page(request, form, row)
    messages.success(request, _("%(contact)s saved.") % {"contact": updated})
    return redirect("directory:contact", row.pk)


@require_POST
@login_required
def deactivate(request: UserRequest, pk: int) -> HttpResponse:
    """Deactivate a contact."""
    with show_refusal(request):
        row = contact_deactivate(contact=get_object_or_404(Contact, pk=pk), by=request.user)
        undo = reverse("directory:contact_reactivate", args=[pk])
        messages.success(request, _("%(contact)s deactivated.") % {"contact": row}, extra_tags=undo)
    return redirect("directory:contact", pk)


@require_POST
@login_required
def reactivate(request: UserRequest, pk: int) -> HttpResponse:
    """Reactivate a contact."""
    with show_refusal(request):
        row = contact_update(contact=get_object_or_404(Contact, pk=pk), by=request.user, is_active=True)
        messages.success(request, _("%(contact)s is active again.") % {"contact": row})
    return redirect("directory:contact", pk)


@require_POST
@login_required
def erase(request: UserRequest, pk: int) -> HttpResponse:
    """Erase a person."""
    with show_refusal(request):
        contact_erase(contact=get_object_or_404(Contact, pk=pk), by=request.user)
        messages.success(request, _("Contact erased. Campaign statistics are not affected."))
        return redirect("directory:contacts")
    return redirect("directory:contact", pk)


def _save(form: ContactForm, save: Callable[[], Contact]) -> Contact | None:
    """Save a valid form and return the contact, or None, with the errors in the form."""
    if not form.is_valid():
        return None
    try:
        return save()
    except ValidationError as error:
        form.add_error(None, error)
    except Stale as error:
        form.show_conflict(error)
    except PermissionDenied as error:
        form.add_error("opted_out", str(error))
    except Conflict as error:
        existing = Contact.objects.get(phone=phones.normalise(form.cleaned_data["phone"]))
        address = reverse("directory:contact", args=[existing.pk])
        form.add_error("phone", format_html('{} <a href="{}">{}</a>', str(error), address, existing))
    return None


def _form_page(request: UserRequest, form: ContactForm, row: Contact | None = None) -> HttpResponse:
    tags = Tag.objects.values_list("name", flat=True)[:_SUGGESTED_TAGS]
    return render(request, "directory/contact_form.html", {"form": form, "contact": row, "tags": tags})
