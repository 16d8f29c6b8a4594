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
from django.utils.timezone import localtime, now
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.zones import place
from campaigns.models import Campaign, Gateway, Message, Run
from campaigns.progress import Progress, progress_of_runs
from campaigns.states import MessageStatus
from campaigns.statistics import Statistics
from campaigns.wording import moment_words, pace_words, reason_words
from project.queue import is_alive, worker_seen
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
    """`today 10:00`, `Thu 26 Nov 21:00`, as the sentences have it."""
    return format_html('<time datetime="{}">{}</time>', localtime(value).isoformat(), moment_words(value))


register.filter("json", json.dumps)


@register.filter
def upcoming(value: datetime) -> str:
    """`next in 12 s`, or `due now`."""
    return format_html("{} {}", _("next"), ago(value)) if value > now() else _("due now")


@register.filter
def run_progress(run: Run) -> Progress:
    """How far one run is."""
    return progress_of_runs([run])


@register.filter
def tone(status: str) -> str:
    """The one colour of a message's or campaign's state."""
    return str(badge(status)["tone"])


@register.simple_tag
def pace(campaign: Campaign, statistics: Statistics) -> str:
    """How fast, and how long it still takes or took."""
    return pace_words(campaign, statistics)


@register.inclusion_tag("includes/badge.html")
def message_badge(message: Message) -> dict[str, Any]:
    """A message's state, and the time that it waits for by the contact's own clock."""
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
    return _("Waiting till %(clock)s in %(place)s") % {"clock": clock, "place": place(zone)}


@register.inclusion_tag("campaigns/gateway_notice.html")
def gateway_notice(campaign: Campaign | None = None) -> dict[str, Any]:
    """What keeps gateways from sending, if anything does; of a campaign only its own. One query."""
    rows = list(Gateway.objects.known().order_by("name"))
    if campaign is None:
        shown = [row for row in rows if row.active and row.stopped]
    else:
        home = campaign.gateway_id or settings.GATEWAY
        shown = [row for row in rows if row.name == home and row.stopped]
    return {"gateways": shown, "several": len(rows) > 1}


@register.inclusion_tag("campaigns/worker_notice.html")
def worker_notice() -> dict[str, Any]:
    """That no worker is alive, and since when, if that is so; one query."""
    seen = worker_seen()
    return {"alive": is_alive(seen), "seen": seen}


@register.inclusion_tag("includes/badge.html")
def gateway_badge() -> dict[str, Any]:
    """How the gateways in use are, in two words; where there are several, which is not well. One query."""
    rows = list(Gateway.objects.known().filter(active=True).order_by("name"))
    stopped = sum(row.stopped for row in rows)
    if stopped > 1:
        label = ngettext("%(number)d gateway stopped", "%(number)d gateways stopped", stopped) % {"number": stopped}
        return {"tone": "bad", "label": label, "live": True}
    worst = min(rows, key=lambda row: _WORST_FIRST.index(_health(row)["tone"]), default=None)
    return _health(worst, worst.name if worst and any(row.kind for row in rows) else "")


@register.inclusion_tag("campaigns/gateway_card.html")
def gateway_card(*, oob: bool = False) -> dict[str, Any]:
    """Every gateway in use that was ever asked, with its breaker; one query. `oob`: beside another part's refresh."""
    rows = Gateway.objects.known().filter(active=True).order_by("name")
    return {"rows": [(row, _health(row)) for row in rows], "oob": oob}


def _health(row: Gateway | None, name: str = "") -> dict[str, Any]:
    """As a badge has it; one that nothing is known of is as good as healthy."""
    told = {"gateway": name or _("Gateway")}
    if row is not None and row.open_until is not None:
        return {"tone": "bad", "label": _("%(gateway)s stopped") % told, "live": True}
    if row is not None and row.held_until is not None and row.held_until > now():
        return {"tone": "warn", "label": _("%(gateway)s busy") % told, "live": True}
    return {"tone": "good", "label": _("Gateway healthy"), "live": False}
