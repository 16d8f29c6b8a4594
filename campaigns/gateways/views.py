"""Administrators' pages of gateways: health, figures and connection."""

import time
from datetime import timedelta
from typing import Any, Final

import structlog
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.db.models import Sum
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.audit_log import Change, history_of, record
from accounts.optimistic_locking import check_version
from campaigns.gateways import registry
from campaigns.gateways.drivers import DRIVERS
from campaigns.gateways.drivers.base import Driver
from campaigns.gateways.forms import GatewayForm, RouteForm
from campaigns.gateways.policies import check_may_manage_gateways
from campaigns.models import Gateway, GatewayHour
from campaigns.sending.transport import transport_for
from campaigns.wording import reason_words
from project.core.clock import now
from project.core.sealed_secrets import Locked
from project.http.client import UserRequest

log = structlog.get_logger("vestnik.campaigns")

_HIDDEN: Final = "•••"
_FIGURES: Final = ("sent", "failed", "retried", "delivered", "undelivered")


@require_safe
@login_required
def gateways(request: UserRequest) -> HttpResponse:
    """List all gateways with their health and the figures of the last 24 hours."""
    check_may_manage_gateways(request.user)
    since = now() - timedelta(days=1)
    sums = GatewayHour.objects.filter(hour__gt=since).values("gateway").annotate(**{n: Sum(n) for n in _FIGURES})
    figures: dict[str, dict[str, Any]] = {row["gateway"]: dict(row) for row in sums}
    known = {row.name: row for row in Gateway.objects.known().order_by("name")}
    ordered = {settings.GATEWAY: Gateway(name=settings.GATEWAY), **known}.values()
    rows = [{"gateway": row, "figures": {n: figures.get(row.name, {}).get(n, 0) for n in _FIGURES}} for row in ordered]
    return render(request, "campaigns/gateways.html", {"rows": rows, "now": now()})


@login_required
def gateway_new(request: UserRequest) -> HttpResponse:
    """Add a gateway."""
    check_may_manage_gateways(request.user)
    return _edit(request, GatewayForm(request.POST or None), _("Gateway added. Test the connection now."))


@login_required
def gateway(request: UserRequest, name: str) -> HttpResponse:
    """Edit a gateway, and show the URL for its receipts."""
    check_may_manage_gateways(request.user)
    row = registry.known_gateway(name)
    form = (GatewayForm if row.kind else RouteForm)(request.POST or None, instance=row)
    return _edit(request, form, _("Gateway saved."), row)


@require_POST
@login_required
def gateway_test(request: UserRequest, name: str) -> HttpResponse:
    """Send a request that delivers no message, and show the result."""
    check_may_manage_gateways(request.user)
    registry.known_gateway(name)
    try:
        wrong = reason_words(_checked(registry.driver(name)))
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
            saved = _save(request, form, row)
            messages.success(request, done)
            return redirect("gateways:gateway", saved.pk)
    context = {"form": form, "gateway": row}
    if row is not None:
        receipts_help = _(DRIVERS[row.kind or settings.GATEWAY].receipts_help)
        context |= {"address": registry.callback_address(row.pk), "receipts_help": receipts_help}
        context["history"] = history_of(row)
    return render(request, "campaigns/gateway.html", context)


@transaction.atomic
def _save(request: UserRequest, form: Any, row: Gateway | None) -> Gateway:
    """Save the form. Raises `Stale` if the gateway was changed after the form was opened."""
    # The settings' gateway has no row before its first message, but may be chosen as a fallback from now on.
    Gateway.objects.get_or_create(name=settings.GATEWAY)
    if row is not None and not row._state.adding:
        check_version(Gateway.objects.select_for_update().get(pk=row.pk), form.opened)
    saved: Gateway = form.save()
    if "active" in form.changed_data:
        log.warning("gateway switched on" if saved.active else "gateway switched off", gateway=saved.pk)
    if row is not None and form.cleaned_data.get("secret"):
        record(Gateway, [saved.pk], request.user, {"secret": Change("", _HIDDEN)})
    return saved


def _checked(driver: Driver) -> str:
    transport = transport_for(driver)
    deadline = time.monotonic() + settings.GATEWAY_TIMEOUT + 1
    try:
        transport.submit(None, driver.check(), settings.GATEWAY_TIMEOUT)
        while time.monotonic() < deadline:
            for _key, answer in transport.poll(0.1):
                return driver.checked(answer)
    finally:
        transport.close()
    return "timeout"
