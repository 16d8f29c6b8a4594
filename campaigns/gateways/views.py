"""Administrators' pages of gateways: health, figures and connection."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.audit_log import history_of
from campaigns.gateways import registry
from campaigns.gateways.definitions.presets import presets
from campaigns.gateways.drivers import ADDABLE, DRIVERS
from campaigns.gateways.policies import check_may_manage_gateways
from campaigns.gateways.provider_forms import DESCRIBED, form_of, new_gateway
from campaigns.gateways.services import figures_of_day, gateway_check, gateway_save, known_gateways
from campaigns.models import Gateway
from campaigns.wording import reason_words
from project.core.clock import now
from project.core.sealed_secrets import Locked
from project.http.client import UserRequest


@require_safe
@login_required
def gateways(request: UserRequest) -> HttpResponse:
    """List all gateways with their health and the figures of the last 24 hours."""
    check_may_manage_gateways(request.user)
    known = known_gateways()
    figures = figures_of_day(known)
    rows = [{"gateway": row, "figures": figures[row.name]} for row in known]
    return render(request, "campaigns/gateways.html", {"rows": rows, "now": now()})


@login_required
def gateway_new(request: UserRequest) -> HttpResponse:
    """Choose a provider or protocol, then add a gateway."""
    check_may_manage_gateways(request.user)
    provider = request.GET.get("provider") or request.POST.get("kind", "")
    row = new_gateway(provider)
    if row is None:
        context = {"presets": presets(), "kinds": ADDABLE, "other": DESCRIBED}
        return render(request, "campaigns/gateway_choice.html", context)
    return _edit(request, form_of(row, request.POST or None), _("Gateway added. Test the connection now."))


@login_required
def gateway(request: UserRequest, name: str) -> HttpResponse:
    """Edit a gateway, and show the URL for its receipts."""
    check_may_manage_gateways(request.user)
    row = registry.known_gateway(name)
    form = form_of(row, request.POST or None)
    return _edit(request, form, _("Gateway saved."), row)


@require_POST
@login_required
def gateway_test(request: UserRequest, name: str) -> HttpResponse:
    """Send a request that delivers no message, and show the result."""
    check_may_manage_gateways(request.user)
    registry.known_gateway(name)
    try:
        wrong = reason_words(gateway_check(name))
    except Locked:
        wrong = _("The secret was encrypted with a different SECRET_KEY. Enter it again.")
    if wrong:
        messages.error(request, _("%(name)s: %(reason)s.") % {"name": name, "reason": wrong.rstrip(".")})
    else:
        messages.success(request, _("%(name)s responds and accepts the credentials.") % {"name": name})
    return redirect("gateways:gateway", name)


def _edit(request: UserRequest, form: Any, done: str, row: Gateway | None = None) -> HttpResponse:
    if form.is_valid():
        with form.refusals():
            saved = gateway_save(form=form, by=request.user, row=row)
            messages.success(request, done)
            return redirect("gateways:gateway", saved.pk)
    context = {"form": form, "gateway": row}
    if row is not None:
        receipts_help = _(DRIVERS[row.kind or settings.GATEWAY].receipts_help)
        context |= {"address": registry.callback_address(row.pk), "receipts_help": receipts_help}
        context["history"] = history_of(row)
    return render(request, "campaigns/gateway.html", context)
