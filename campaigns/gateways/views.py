"""Administrators' pages of gateways: health, figures, connection, and ways to try it."""

from collections.abc import Callable
from typing import Any, Final, get_args

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.audit_log import history_of
from campaigns.gateways import registry
from campaigns.gateways.definitions.presets import presets
from campaigns.gateways.definitions.schema import (
    MESSAGE_VARIABLES,
    Definition,
    InvalidDefinition,
    Outcome,
    Reason,
)
from campaigns.gateways.definitions.templates import variables
from campaigns.gateways.drivers import ADDABLE, DRIVERS
from campaigns.gateways.exchanges import exchanges_of
from campaigns.gateways.forms import RouteForm
from campaigns.gateways.policies import check_may_manage_gateways
from campaigns.gateways.protocol import InvalidReceipt
from campaigns.gateways.provider_forms import DESCRIBED, OPTION, described_form, form_of, new_gateway
from campaigns.gateways.services import figures_of_day, gateway_save, known_gateways
from campaigns.gateways.trial_forms import ANSWER, GatewayTestForm, SampleForm
from campaigns.gateways.trials import (
    gateway_check,
    gateway_send_test,
    judge_answer,
    read_callback,
    request_of_form,
)
from campaigns.models import Gateway
from campaigns.pages.views import LAST_PHONE
from project.core.clock import now
from project.core.sealed_secrets import Locked
from project.http.client import UserRequest

_ROUTE: Final = frozenset({"concurrency", "rate", "carries", "fallback"})
"""The fields that a new gateway can do without."""
_SHORT: Final = 20
"""The exchanges that are shown at first."""


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
        kinds = {kind: _(driver.label) for kind, driver in ADDABLE.items()}
        context = {"presets": presets(), "kinds": kinds, "other": DESCRIBED}
        return render(request, "campaigns/gateway_choice.html", context)
    if request.POST.get("action") == "describe":
        return _describe(request, row)
    form = form_of(row, request.POST or None)
    if row.preset and not Gateway.objects.filter(pk=row.preset).exists():
        form.initial["name"] = row.preset
    return _edit(request, form, _("Gateway added. Try it now."))


@login_required
def gateway(request: UserRequest, name: str) -> HttpResponse:
    """Edit a gateway, try it, and show what it was sent and what it answered."""
    check_may_manage_gateways(request.user)
    row = registry.known_gateway(name)
    if request.htmx.target == "exchanges":
        return render(request, "campaigns/gateway_exchanges.html", _exchanges(request, row))
    if request.POST.get("action") == "describe" and row.kind == DESCRIBED:
        return _describe(request, row)
    form = form_of(row, request.POST or None)
    return _edit(request, form, _("Gateway saved."), row)


@require_POST
@login_required
def gateway_try(request: UserRequest, name: str, action: str) -> HttpResponse:
    """Check the gateway, send a test message, or read a sample; the result is shown in its place."""
    check_may_manage_gateways(request.user)
    row = registry.known_gateway(name)
    try:
        context = _TRIALS[action](request, row)
    except Locked:
        context = {"trouble": _("The secret was encrypted with a different SECRET_KEY. Enter it again.")}
    if request.htmx:
        response = render(request, f"campaigns/gateway_{action}.html", {**_trial_forms(request, row), **context})
        response["HX-Trigger"] = "exchanged"
        return response
    return _page(request, form_of(row, None), row, {**context, "tried": action})


def _check(request: UserRequest, row: Gateway) -> dict[str, Any]:
    return {"checked": gateway_check(row.name)}


def _send(request: UserRequest, row: Gateway) -> dict[str, Any]:
    form = GatewayTestForm(request.POST, senders=registry.traits_of(row).has_senders)
    context: dict[str, Any] = {"test_form": form}
    if form.is_valid():
        request.session[LAST_PHONE] = form.cleaned_data["phone"]
        try:
            context["tested"] = gateway_send_test(name=row.name, by=request.user, **form.cleaned_data)
        except ValidationError as error:
            form.add_error(None, error)
    return context


def _sample(request: UserRequest, row: Gateway) -> dict[str, Any]:
    form = SampleForm(request.POST)
    context: dict[str, Any] = {"sample_form": form}
    if not form.is_valid():
        return context
    sample = form.cleaned_data
    if sample["kind"] == ANSWER:
        return {**context, "judged": judge_answer(row.name, sample["status"] or 200, sample["body"])}
    try:
        return {**context, "reported": read_callback(row.name, sample["query"], sample["body"])}
    except InvalidReceipt as error:
        return {**context, "unreadable": str(error)}


_TRIALS: Final[dict[str, Callable[[UserRequest, Gateway], dict[str, Any]]]] = {
    "check": _check,
    "send": _send,
    "sample": _sample,
}


def _edit(request: UserRequest, form: RouteForm, done: str, row: Gateway | None = None) -> HttpResponse:
    if request.POST.get("action") == "request":
        return _show_request(request, form, row)
    if form.is_valid():
        with form.refusals():
            saved = gateway_save(form=form, by=request.user, row=row)
            messages.success(request, done)
            return redirect(f"{reverse('gateways:gateway', args=[saved.pk])}?saved=1")
    return _page(request, form, row)


def _describe(request: UserRequest, row: Gateway) -> HttpResponse:
    """Show the problems of the description in the form, or else the fields that it asks for."""
    form = described_form(row, request.POST)
    context = {"problems": form.problem.splitlines(), "asked_fields": _asked(form), "live": True}
    return render(request, "campaigns/gateway_described.html", context)


def _asked(form: forms.BaseForm) -> list[forms.BoundField]:
    return [field for field in form if field.name.startswith(OPTION)]


def _show_request(request: UserRequest, form: RouteForm, row: Gateway | None) -> HttpResponse:
    """Show the request that the gateway in the form would get; nothing is saved or sent."""
    shown = request_of_form(form)
    context = {"shown": shown, "problem": getattr(form, "problem", "")}
    if request.htmx:
        return render(request, "campaigns/gateway_request.html", context)
    return _page(request, form, row, context)


def _page(
    request: UserRequest, form: RouteForm, row: Gateway | None, more: dict[str, Any] | None = None
) -> HttpResponse:
    definition, asked = _definition(form, row), _asked(form)
    context: dict[str, Any] = {"form": form, "gateway": row, "definition": definition, "asked_fields": asked}
    context["problems"] = getattr(form, "problem", "").splitlines()
    rest = [field for field in form.visible_fields() if field not in asked]
    context["main_fields"] = [field for field in rest if field.name not in _ROUTE or not form.has_url]
    context["route_fields"] = [field for field in rest if field not in context["main_fields"]]
    context["open_route"] = any(field.errors for field in context["route_fields"])
    if "definition" in form.fields:
        context |= {
            "variables": sorted(MESSAGE_VARIABLES),
            "outcomes": get_args(Outcome),
            "reasons": get_args(Reason)[1:],
        }
    if row is not None:
        context |= {"address": registry.callback_address(row.pk), "callback_help": _callback_help(row, definition)}
        context |= {"history": history_of(row), **_trial_forms(request, row), **_exchanges(request, row)}
    return render(request, "campaigns/gateway.html", {**context, **(more or {})})


def _callback_help(row: Gateway, definition: Definition | None) -> str:
    """How the gateway learns its callback address."""
    if definition is None:
        return _(DRIVERS[row.kind or settings.GATEWAY].receipts_help)
    if not (definition.receipts or definition.incoming):
        return _("The description has neither receipts nor incoming messages, so this address is not used yet.")
    if any("callback" in variables(template) for template in definition.request.templates()):
        return _("The provider gets it with each message. For incoming messages, enter it in the provider’s settings.")
    return _("Enter it in the provider’s settings as the address for receipts and incoming messages.")


def _definition(form: RouteForm, row: Gateway | None) -> Definition | None:
    """The description in use: that of the gateway, or else of the form."""
    if row is None:
        return getattr(form, "definition", None)
    try:
        return registry.definition_of(row)
    except InvalidDefinition:
        return None


def _trial_forms(request: UserRequest, row: Gateway) -> dict[str, Any]:
    phone, senders = request.session.get(LAST_PHONE, ""), registry.traits_of(row).has_senders
    return {
        "gateway": row,
        "test_form": GatewayTestForm(initial={"phone": phone}, senders=senders),
        "sample_form": SampleForm(),
    }


def _exchanges(request: UserRequest, row: Gateway) -> dict[str, Any]:
    rows, everything = exchanges_of(row.pk), "all" in request.GET
    return {
        "gateway": row,
        "exchanges": rows if everything else rows[:_SHORT],
        "all_exchanges": everything,
        "number": len(rows),
    }
