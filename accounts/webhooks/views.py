"""The webhook pages, below the account page."""

from typing import Final

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.webhooks import services
from accounts.webhooks.forms import DeliveryListForm, WebhookForm
from accounts.webhooks.models import Delivery, EventType, Webhook
from project.http.client import UserRequest
from project.http.errors import Conflict, show_refusal
from project.http.lists import clean_query, contains_words, render_list

_PAGE_SIZE: Final = 30


@never_cache
@login_required
def webhooks(request: UserRequest) -> HttpResponse:
    """List the user's webhooks, with a form to add one. The new secret is shown once, in the response itself."""
    form, new = WebhookForm(request.POST or None), None
    if form.is_valid():
        try:
            new = services.webhook_create(owner=request.user, **form.cleaned_data)
            form = WebhookForm()
        except ValidationError as error:
            form.add_error(None, error)
        except Conflict as error:
            form.add_error(None, str(error))
    rows = Webhook.objects.filter(owner=request.user).order_by("-pk")
    return render(request, "webhooks/webhooks.html", {"form": form, "new": new, "rows": rows})


@require_safe
@login_required
def webhook(request: UserRequest, pk: int) -> HttpResponse:
    """Show a webhook: its events, and the log of its deliveries, newest first."""
    row = get_object_or_404(Webhook, pk=pk, owner=request.user)
    form = DeliveryListForm(clean_query(request))
    values = form.read()
    deliveries_found = row.deliveries.defer("events").filter(contains_words(values["q"] or "", "uid"))
    if values["status"]:
        deliveries_found = deliveries_found.filter(status=values["status"])
    all_events = set(row.events) == set(EventType.values)
    labels = [] if all_events else [EventType(event).label for event in row.events]
    context = {"webhook": row, "labels": labels, "form": form, "page": form.page(deliveries_found, _PAGE_SIZE)}
    return render_list(request, "webhooks/webhook.html", context)


@require_POST
@login_required
def webhook_delete(request: UserRequest, pk: int) -> HttpResponse:
    """Delete a webhook."""
    row = get_object_or_404(Webhook, pk=pk, owner=request.user)
    services.webhook_delete(webhook=row, by=request.user)
    messages.success(request, _("Webhook deleted."))
    return redirect("webhooks:webhooks")


@require_POST
@login_required
def webhook_enable(request: UserRequest, pk: int) -> HttpResponse:
    """Enable a disabled webhook again."""
    row = get_object_or_404(Webhook, pk=pk, owner=request.user)
    services.webhook_enable(webhook=row, by=request.user)
    messages.success(request, _("The webhook is on again. You can resend failed deliveries below."))
    return redirect("webhooks:webhook", pk)


@require_POST
@login_required
def delivery_resend(request: UserRequest, pk: int, delivery_pk: int) -> HttpResponse:
    """Send one delivery again."""
    delivery = get_object_or_404(Delivery, pk=delivery_pk, webhook=pk, webhook__owner=request.user)
    with show_refusal(request):
        services.delivery_resend(delivery=delivery, by=request.user)
        messages.success(request, _("The delivery is being sent again."))
    return redirect("webhooks:webhook", pk)
