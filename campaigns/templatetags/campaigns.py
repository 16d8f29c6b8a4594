"""`{% load campaigns %}`."""

import json
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import template
from django.conf import settings
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import localtime, now
from django.utils.translation import gettext as _

from campaigns.models import Campaign, Gateway, Message, Run
from campaigns.progress import Progress, progress_of_runs
from campaigns.states import MessageStatus
from campaigns.statistics import Statistics
from campaigns.wording import moment_words, pace_words, place, reason_words
from project.queue import is_alive, worker_seen
from project.templatetags import ago, badge

register = template.Library()
register.filter("reason", reason_words)


@register.filter
def clock(moment: datetime) -> SafeString:
    """The time of the day to the second, with the date in the tooltip."""
    local = localtime(moment)
    title = date_format(local, "j M Y, H:i:s T")
    return format_html(
        '<time class="muted" datetime="{}" title="{}">{}</time>', local.isoformat(), title, f"{local:%H:%M:%S}"
    )


@register.filter
def moment(value: datetime) -> SafeString:
    """`today 10:00`, `Thu 26 Nov 21:00`, as the sentences have it."""
    return format_html('<time datetime="{}">{}</time>', localtime(value).isoformat(), moment_words(value))


register.filter("place", place)
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
def gateway_notice() -> dict[str, Any]:
    """What keeps the gateway from sending, if anything does; one query."""
    return {"gateway": Gateway.objects.filter(name=settings.GATEWAY).first()}


@register.inclusion_tag("campaigns/worker_notice.html")
def worker_notice() -> dict[str, Any]:
    """That no worker is alive, and since when, if that is so; one query."""
    seen = worker_seen()
    return {"alive": is_alive(seen), "seen": seen}


@register.inclusion_tag("includes/badge.html")
def gateway_badge() -> dict[str, Any]:
    """The gateway's health in two words; one query."""
    return _health(Gateway.objects.filter(name=settings.GATEWAY).first())


@register.inclusion_tag("campaigns/gateway_card.html")
def gateway_card(*, oob: bool = False) -> dict[str, Any]:
    """Every gateway that was ever asked, with its breaker; one query. `oob`: beside another part's refresh."""
    return {"rows": [(row, _health(row)) for row in Gateway.objects.order_by("name")], "oob": oob}


def _health(row: Gateway | None) -> dict[str, Any]:
    """As a badge has it; one that nothing is known of is as good as healthy."""
    if row is not None and row.open_until is not None:
        return {"tone": "bad", "label": _("Gateway stopped"), "live": True}
    if row is not None and row.held_until is not None and row.held_until > now():
        return {"tone": "warn", "label": _("Gateway busy"), "live": True}
    return {"tone": "good", "label": _("Gateway healthy"), "live": False}
