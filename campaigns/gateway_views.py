"""The administrators' pages of gateways: how each is, and how it is reached."""

import time
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db.models import Sum
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.history import Change, history_of, record
from campaigns import connections
from campaigns.gateway_forms import FallbackForm, GatewayForm
from campaigns.gateways.base import Adapter
from campaigns.models import Gateway, GatewayHour
from campaigns.sending.transport import transport_for
from campaigns.wording import reason_words
from project.clock import now
from project.http import Signed
from project.vault import Locked

_HIDDEN: Final = "•••"
_FIGURES: Final = ("sent", "failed", "retried", "delivered", "undelivered")


@require_safe
@login_required
def gateways(request: Signed) -> HttpResponse:
    """All of them, with their health and the figures of a day."""
    _check_staff(request)
    since = now() - timedelta(days=1)
    sums = GatewayHour.objects.filter(hour__gt=since).values("gateway").annotate(**{n: Sum(n) for n in _FIGURES})
    figures: dict[str, dict[str, Any]] = {row["gateway"]: dict(row) for row in sums}
    known = {row.name: row for row in Gateway.objects.known().order_by("name")}
    ordered = {settings.GATEWAY: Gateway(name=settings.GATEWAY), **known}.values()
    rows = [{"gateway": row, "figures": {n: figures.get(row.name, {}).get(n, 0) for n in _FIGURES}} for row in ordered]
    return render(request, "campaigns/gateways.html", {"rows": rows, "now": now()})


@login_required
def gateway_new(request: Signed) -> HttpResponse:
    """Add one."""
    _check_staff(request)
    return _edit(request, GatewayForm(request.POST or None), _("The gateway is added. Test the connection now."))


@login_required
def gateway(request: Signed, name: str) -> HttpResponse:
    """Change one, and see where its receipts come to."""
    _check_staff(request)
    row = _found(name)
    form = (GatewayForm if row.kind else FallbackForm)(request.POST or None, instance=row)
    return _edit(request, form, _("The gateway is saved."), row)


@require_POST
@login_required
def gateway_test(request: Signed, name: str) -> HttpResponse:
    """Ask it for something that sends nothing."""
    _check_staff(request)
    _found(name)
    try:
        wrong = reason_words(_checked(connections.adapter(name)))
    except Locked:
        wrong = _("Its secret was encrypted with another SECRET_KEY: enter it again.")
    if wrong:
        messages.error(request, _("%(name)s: %(reason)s.") % {"name": name, "reason": wrong.rstrip(".")})
    else:
        messages.success(request, _("%(name)s answers and knows us.") % {"name": name})
    return redirect("gateways:gateway", name)


def _edit(request: Signed, form: Any, done: str, row: Gateway | None = None) -> HttpResponse:
    if form.is_valid():
        # The one of the settings has no row before its first message, and may be chosen as a fallback from here on.
        Gateway.objects.get_or_create(name=settings.GATEWAY)
        messages.success(request, done)
        saved = form.save()
        if row is not None and form.cleaned_data.get("secret"):
            record(Gateway, [saved.pk], request.user, {"secret": Change("", _HIDDEN)})
        return redirect("gateways:gateway", saved.pk)
    known = {"address": connections.callback_address(row.pk), "history": history_of(row)} if row is not None else {}
    return render(request, "campaigns/gateway.html", {"form": form, "gateway": row, **known})


def _checked(adapter: Adapter) -> str:
    transport = transport_for(adapter)
    deadline = time.monotonic() + settings.GATEWAY_TIMEOUT + 1
    try:
        transport.submit(None, adapter.check(), settings.GATEWAY_TIMEOUT)
        while time.monotonic() < deadline:
            for _key, answer in transport.poll(0.1):
                return adapter.checked(answer)
    finally:
        transport.close()
    return "timeout"


def _found(name: str) -> Gateway:
    """Any of them; the one that the settings describe may not have a row yet."""
    row = Gateway.objects.known().filter(pk=name).first()
    if row is None and name != settings.GATEWAY:
        raise Http404
    return row or Gateway(name=name)


def _check_staff(request: Signed) -> None:
    if not request.user.is_staff:
        raise PermissionDenied(_("Only administrators see the gateways."))
