"""`{% load campaigns %}`."""

import json
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from django import template
from django.conf import settings
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.time_zones import place
from campaigns.models import Campaign, Gateway, Message, Run
from campaigns.pages.progress import Progress, progress_of_runs
from campaigns.pages.wording import moment_words, pace_words
from campaigns.states import MessageStatus
from campaigns.statistics import Statistics
from campaigns.wording import area_name, area_words, reason_words
from project.core.clock import now
from project.core.money import price
from project.queue.broker import is_alive, worker_seen
from project.templatetags import ago, badge

register = template.Library()
_WORST_FIRST: Final = ("bad", "warn", "good")
register.filter("reason", reason_words)


@register.filter
def clock(moment: datetime) -> SafeString:
    """The time of the day to the second, with the date in the tooltip."""
    local = localtime(moment)
    title = date_format(local, _("j M Y, H:i:s T"))
    return format_html(
        '<time class="muted" datetime="{}" title="{}">{}</time>', local.isoformat(), title, f"{local:%H:%M:%S}"
    )


@register.filter
def moment(value: datetime) -> SafeString:
    """`today 10:00` or `Thu 26 Nov 21:00`, as in sentences."""
    return format_html('<time datetime="{}">{}</time>', localtime(value).isoformat(), moment_words(value))


register.filter("json", json.dumps)


register.filter("area", area_name)
register.filter("price", price)


@register.filter
def areas(carries: str) -> str:
    """The areas that a gateway takes, as a list of names."""
    return area_words(carries.split(","))


@register.filter
def upcoming(value: datetime) -> str:
    """`next in 12 s`, or `due now`."""
    return format_html("{} {}", _("next"), ago(value)) if value > now() else _("due now")


@register.filter
def run_progress(run: Run) -> Progress:
    """The progress of one run."""
    return progress_of_runs([run])


@register.filter
def tone(status: str) -> str:
    """The colour of a message's or campaign's status."""
    return str(badge(status)["tone"])


@register.simple_tag
def pace(campaign: Campaign, statistics: Statistics) -> str:
    """The rate, and the remaining or total time."""
    return pace_words(campaign, statistics)


@register.inclusion_tag("includes/badge.html")
def message_badge(message: Message) -> dict[str, Any]:
    """A message's status, and in the contact's local time when it is due."""
    if message.status == MessageStatus.PENDING:
        return badge("retrying" if message.attempts else message.status, _awaited(message))
    return badge(message.status, message.get_status_display())


def _awaited(message: Message) -> str:
    if message.due_at <= now():
        return ""
    if message.attempts:
        return _("Retrying at %(clock)s") % {"clock": f"{localtime(message.due_at):%H:%M:%S}"}
    zone = message.contact.timezone if message.contact else message.run.campaign.timezone
    clock = f"{localtime(message.due_at, ZoneInfo(zone)):%H:%M}"
    return _("Waiting until %(clock)s in %(place)s") % {"clock": clock, "place": place(zone)}


def _gateways(context: template.Context) -> list[Gateway]:
    """All gateways, read once per page."""
    request: Any = context.get("request")
    found: list[Gateway] | None = getattr(request, "gateways", None)
    if found is None:
        found = list(Gateway.objects.known().order_by("name"))
        if request is not None:
            request.gateways = found
    return found


@register.inclusion_tag("campaigns/gateway_notice.html", takes_context=True)
def gateway_notice(context: template.Context, campaign: Campaign | None = None) -> dict[str, Any]:
    """Why gateways do not send, if they don't; for a campaign only its own gateway."""
    rows = _gateways(context)
    if campaign is None:
        shown = [row for row in rows if row.active and row.stopped]
    else:
        home = campaign.gateway_id or settings.GATEWAY
        shown = [row for row in rows if row.name == home and row.stopped]
    return {"gateways": shown, "several": len(rows) > 1}


@register.inclusion_tag("campaigns/worker_notice.html")
def worker_notice() -> dict[str, Any]:
    """Whether a worker is alive, and when one was last seen; one query."""
    seen = worker_seen()
    return {"alive": is_alive(seen), "seen": seen}


@register.inclusion_tag("campaigns/gateway_badge.html", takes_context=True)
def gateway_badge(context: template.Context) -> dict[str, Any]:
    """The health of the gateways in use; if there are several, it names the one with a problem.

    Parts of a page that refresh themselves include it out of band.
    """
    request = context.get("request")
    return {**_state([row for row in _gateways(context) if row.active]), "oob": bool(getattr(request, "htmx", False))}


def _state(rows: list[Gateway]) -> dict[str, Any]:
    stopped = sum(row.stopped for row in rows)
    if stopped > 1:
        label = ngettext("%(number)d gateway not responding", "%(number)d gateways not responding", stopped) % {
            "number": stopped
        }
        return {"tone": "bad", "label": label, "live": True}
    worst = min(rows, key=lambda row: _WORST_FIRST.index(_health(row)["tone"]), default=None)
    return _health(worst, worst.name if worst and any(row.kind for row in rows) else "")


@register.inclusion_tag("campaigns/gateway_card.html", takes_context=True)
def gateway_card(context: template.Context, *, oob: bool = False) -> dict[str, Any]:
    """All gateways in use, with their circuit breakers. `oob`: sent out of band with another part."""
    return {"rows": [(row, _health(row)) for row in _gateways(context) if row.active], "oob": oob}


def _health(row: Gateway | None, name: str = "") -> dict[str, Any]:
    """The health as a badge; a gateway without data counts as healthy."""
    names = {"gateway": name or _("Gateway")}
    if row is not None and row.open_until is not None:
        return {"tone": "bad", "label": _("%(gateway)s not responding") % names, "live": True}
    if row is not None and row.held_until is not None and row.held_until > now():
        return {"tone": "warn", "label": _("%(gateway)s busy") % names, "live": True}
    return {"tone": "good", "label": _("Gateway OK"), "live": False}
