"""The sandbox's page: counts, last messages, and a form for the faults."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

from aiohttp import web
from django.contrib.staticfiles import finders
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from campaigns.sandbox.faults import FIELDS, KINDS, RECEIPTS, FaultsError
from campaigns.sandbox.gateway import Gateway
from campaigns.sandbox.ledger import ACCEPTED, CONFLICT, DENIED, INVALID, REPEAT, Ledger
from campaigns.sandbox.provider import Provider
from project.observability.logs import mask

ASSETS: Final = {
    "/vestnik.css": ("css/vestnik.css", "text/css"),
    "/favicon.svg": ("favicon.svg", "image/svg+xml"),
    "/htmx.js": ("django_htmx/htmx-2.min.js", "text/javascript"),
}
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
# All other outcomes are faults.
TONES: Final = {ACCEPTED: "good", REPEAT: "sent", CONFLICT: "bad", INVALID: "bad", DENIED: "bad"}


async def show(gateway: Gateway, request: web.BaseRequest) -> web.StreamResponse:
    """`GET /`."""
    return _page(gateway, {}, {})


async def change(gateway: Gateway, request: web.BaseRequest) -> web.StreamResponse:
    """`POST /` from the page's forms: settings to change, or `clear`. Redirects back, or shows the errors."""
    fields = dict(parse_qsl((await request.read()).decode(errors="replace"), keep_blank_values=True))
    if fields.pop("clear", ""):
        gateway.ledger.clear()
    if "incoming_text" in fields and isinstance(gateway, Provider):
        problem = _send_incoming(gateway, fields.pop("incoming_phone", ""), fields.pop("incoming_text"))
        if problem:
            return _page(gateway, {}, {"incoming": problem})
    try:
        gateway.faults = gateway.faults.updated_from_text(fields)
    except FaultsError as error:
        return _page(gateway, fields, error.errors)
    return web.Response(status=303, headers={"Location": "/"})


def _send_incoming(gateway: Provider, phone: str, text: str) -> str:
    """Send an incoming message; return why that is not possible, or an empty string."""
    digits = "".join(filter(str.isdecimal, phone))
    if not digits or not text.strip():
        return _("Enter a phone number and a text.")
    if not gateway.callback:
        return _("The address for callbacks is not known. Send a message first, or start the sandbox with --callback.")
    return "" if gateway.incoming(digits, text) else _("This provider has no incoming messages.")


async def asset(gateway: Gateway, request: web.BaseRequest) -> web.StreamResponse:
    """A style sheet or script of the project, which the sandbox serves itself."""
    name, content_type = ASSETS[request.path]
    path = finders.find(name)
    if path is None:
        raise web.HTTPNotFound
    return web.Response(body=Path(path).read_bytes(), content_type=content_type, charset="utf-8", headers=HEADERS)


def _page(gateway: Gateway, typed: Mapping[str, str], errors: Mapping[str, str]) -> web.Response:
    """The page; with `errors`, the form shows the values that were `typed`."""
    faults = gateway.faults
    values = faults.as_dict()
    context = {
        "faults": faults,
        "percent": faults.total * 100,
        "figures": _figures(gateway.ledger),
        "groups": [
            (heading, [_setting(name, values[name], typed, errors) for name in names])
            for heading, names in (
                (_("Shares of all requests: 0.05 is 5 %; the sum must not exceed 1"), KINDS),
                (_("Delays, in seconds"), [name for name in FIELDS if name not in {*KINDS, *RECEIPTS, "outage"}]),
                *([(_("Delivery receipts"), RECEIPTS)] if isinstance(gateway, Provider) else []),
            )
        ],
        "has_errors": bool(errors.keys() - {"incoming"}),
        "provider": gateway if isinstance(gateway, Provider) else None,
        "incoming_error": errors.get("incoming"),
        "arrivals": [
            {
                "at": datetime.fromtimestamp(arrival.at, UTC),
                "id": arrival.message.id,
                "phone": mask(arrival.message.phone),
                "text": arrival.message.text,
                "outcome": arrival.outcome,
                "tone": TONES.get(arrival.outcome, "warn"),
            }
            for arrival in reversed(gateway.ledger.last)
        ],
    }
    html = render_to_string("sandbox/page.html", context)
    return web.Response(text=html, content_type="text/html", status=422 if errors else 200, headers=HEADERS)


def _figures(ledger: Ledger) -> list[tuple[str, str, int, str]]:
    """Label, tone, count and remark of each figure at the top; zeros have no colour."""
    fault_counts = ", ".join(f"{kind} {ledger.outcomes[kind]}" for kind in KINDS if ledger.outcomes[kind])
    refused = ledger.outcomes[INVALID] + ledger.outcomes[DENIED]
    figures = [
        (_("Requests"), "wait", ledger.requests, ""),
        (_("Messages accepted"), "good", ledger.accepted, _("unique ids")),
        (_("Retries"), "sent", ledger.repeats, _("same id and payload, harmless")),
        (_("Faults"), "warn", sum(ledger.outcomes[kind] for kind in KINDS), fault_counts),
        (_("Rejected"), "bad", refused, _("malformed, or wrong token")),
        (_("Conflicts"), "bad", ledger.conflicts, _("same id, different payload")),
        (_("Too early"), "bad", ledger.early, _("before Retry-After has passed")),
    ]
    return [(label, tone if count else "wait", count, remark) for label, tone, count, remark in figures]


def _setting(name: str, value: object, typed: Mapping[str, str], errors: Mapping[str, str]) -> dict[str, Any]:
    """One input of the form, as typed if it has an error."""
    text = str(value).lower() if isinstance(value, bool) else f"{value:.9g}"
    return {
        "name": name,
        "value": typed.get(name, text),
        "error": errors.get(name),
        "is_switch": isinstance(value, bool),
        **FIELDS[name].metadata,
    }
