"""The pages of webhooks, below the account's."""

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
from project.http import Conflict, Signed, refusal_shown
from project.lists import holding, list_shown, tidied

_PAGE: Final = 30


@never_cache
@login_required
def webhooks(request: Signed) -> HttpResponse:
    """One's own webhooks, and a form for another; a new one's secret is shown in the answer itself, this once."""
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
def webhook(request: Signed, pk: int) -> HttpResponse:
    """One of them: what it is told of, and the log of its deliveries, newest first."""
    row = get_object_or_404(Webhook, pk=pk, owner=request.user)
    form = DeliveryListForm(tidied(request))
    asked = form.read()
    found = row.deliveries.defer("events").filter(holding(asked["q"] or "", "uid"))
    if asked["status"]:
        found = found.filter(status=asked["status"])
    everything = set(row.events) == set(EventType.values)
    labels = [] if everything else [EventType(event).label for event in row.events]
    context = {"webhook": row, "labels": labels, "form": form, "page": form.page(found, _PAGE)}
    return list_shown(request, "webhooks/webhook.html", context)


@require_POST
@login_required
def webhook_delete(request: Signed, pk: int) -> HttpResponse:
    """Tell it nothing more."""
    row = get_object_or_404(Webhook, pk=pk, owner=request.user)
    services.webhook_delete(webhook=row, by=request.user)
    messages.success(request, _("The webhook is deleted."))
    return redirect("webhooks:webhooks")


@require_POST
@login_required
def webhook_enable(request: Signed, pk: int) -> HttpResponse:
    """Turn a disabled one on again."""
    row = get_object_or_404(Webhook, pk=pk, owner=request.user)
    services.webhook_enable(webhook=row, by=request.user)
    messages.success(request, _("The webhook is on again. Failed deliveries can be sent again below."))
    return redirect("webhooks:webhook", pk)


@require_POST
@login_required
def delivery_resend(request: Signed, pk: int, delivery_pk: int) -> HttpResponse:
    """Send one delivery again."""
    delivery = get_object_or_404(Delivery, pk=delivery_pk, webhook=pk, webhook__owner=request.user)
    with refusal_shown(request):
        services.delivery_resend(delivery=delivery, by=request.user)
        messages.success(request, _("It is sent again."))
    return redirect("webhooks:webhook", pk)
