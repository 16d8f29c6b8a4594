"""Template tags and filters that every page may use without loading them."""

import math
from datetime import datetime
from typing import Any

from django import template
from django.template.context import Context
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from accounts.zones import place
from campaigns.states import CampaignStatus, MessageStatus
from project.numbers import number

register = template.Library()
register.filter("number", number)
register.filter("place", place)

_THIN = "\N{NARROW NO-BREAK SPACE}"
_LABELS = {status.value: status.label for status in (*MessageStatus, *CampaignStatus)}
_TONES: dict[str, str] = {
    CampaignStatus.RUNNING: "sent",
    CampaignStatus.PAUSED: "warn",
    CampaignStatus.FINISHED: "good",
    MessageStatus.SENDING: "sent",
    MessageStatus.SENT: "sent",
    MessageStatus.DELIVERED: "good",
    MessageStatus.UNDELIVERED: "bad",
    MessageStatus.FAILED: "bad",
    MessageStatus.UNKNOWN: "warn",
}
_LIVE = {CampaignStatus.RUNNING.value, MessageStatus.SENDING.value}


@register.filter
def percent(part: int, whole: int) -> str:
    """`part|percent:whole` → `68.4 %`, rounded down, so that only the whole is 100 %; a dash of nothing."""
    if not whole:
        return "—"
    if part in (0, whole):
        return f"{100 if part else 0}{_THIN}%"
    tenths = math.floor(part * 1000 / whole)
    if not tenths:
        return f"<{_THIN}{number_format(0.1, 1)}{_THIN}%"
    return f"{number_format(tenths / 10, 1)}{_THIN}%"


@register.filter
def ago(moment: datetime | None) -> str:
    """How long ago, or in how long, with the exact time of the reader's zone in the tooltip; a dash of None."""
    if moment is None:
        return "—"
    local = timezone.localtime(moment)
    exact = date_format(local, _("j M Y, H:i:s T"))
    return format_html('<time datetime="{}" title="{}">{}</time>', local.isoformat(), exact, _relative(local))


def _relative(local: datetime) -> str:
    """In the largest unit that fits, and past thirty days the date itself."""
    seconds = (timezone.now() - local).total_seconds()
    size = abs(seconds)
    if size < 1:
        return _("now")
    if size < 60:
        span = _("%(count)d s") % {"count": size}
    elif size < 3600:
        span = _("%(count)d min") % {"count": size // 60}
    elif size < 86_400:
        span = _("%(count)d h") % {"count": size // 3600}
    elif size < 30 * 86_400:
        span = pgettext("days", "%(count)d d") % {"count": size // 86_400}
    else:
        return date_format(local, _("j M Y"))
    return (_("%(span)s ago") if seconds > 0 else _("in %(span)s")) % {"span": span}


@register.inclusion_tag("includes/badge.html")
def badge(status: str, label: str = "") -> dict[str, Any]:
    """The state of a campaign or a message in its one colour; `label` says more than the state's own word.

    `retrying` is a message that waits for another attempt.
    """
    if status == "retrying":
        return {"tone": "warn", "label": label or _("Retrying"), "live": False}
    return {"tone": _TONES.get(status, "wait"), "label": label or _LABELS[status], "live": status in _LIVE}


@register.inclusion_tag("includes/nav.html", takes_context=True)
def nav(
    context: Context, address: str, icon: str, label: Any, *, note: str = "", only: str = "", keys: str = ""
) -> dict[str, Any]:
    """A link of the navigation, marked on its page and those below; `only` is `phone` or `desk`; `keys` lead there."""
    path = context["request"].path
    current = path == address if address == "/" else path.startswith(address)
    told = {"address": address, "icon": icon, "label": label, "note": note, "only": only, "keys": keys}
    return {**told, "current": current}
