"""Template tags and filters that all templates can use without loading them."""

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

from accounts.time_zones import place
from campaigns.states import TONES, CampaignStatus, MessageStatus
from project.core.clock import now
from project.core.money import money
from project.core.numbers import number
from project.core.version import VERSION

register = template.Library()
register.filter("number", number)
register.filter("money", money)
register.filter("place", place)


@register.simple_tag
def version() -> str:
    """Return the version of this program."""
    return VERSION


_NARROW_SPACE = "\N{NARROW NO-BREAK SPACE}"
_LABELS = {status.value: status.label for status in (*MessageStatus, *CampaignStatus)}
_LIVE = {CampaignStatus.RUNNING.value, MessageStatus.SENDING.value}


@register.filter
def percent(part: int, whole: int) -> str:
    """Format `part|percent:whole` as `68.4 %`, rounded down, so that only the whole is 100 %; a dash if it is zero."""
    if not whole:
        return "—"
    if part in (0, whole):
        return f"{100 if part else 0}{_NARROW_SPACE}%"
    tenths = math.floor(part * 1000 / whole)
    if not tenths:
        return f"<{_NARROW_SPACE}{number_format(0.1, 1)}{_NARROW_SPACE}%"
    return f"{number_format(tenths / 10, 1)}{_NARROW_SPACE}%"


@register.filter
def ago(moment: datetime | None) -> str:
    """Format a time relative to now, with the exact local time in the tooltip; a dash for None."""
    if moment is None:
        return "—"
    local = timezone.localtime(moment)
    exact = date_format(local, _("j M Y, H:i:s T"))
    return format_html('<time datetime="{}" title="{}">{}</time>', local.isoformat(), exact, _relative(local))


def _relative(local: datetime) -> str:
    """Use the largest unit that fits; after thirty days, the date."""
    seconds = (now() - local).total_seconds()
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
    """Show the state of a campaign or message in its colour; `label` replaces the state's name.

    `retrying` is a message that waits for another attempt.
    """
    if status == "retrying":
        return {"tone": "warn", "label": label or _("Retrying"), "live": False}
    return {"tone": TONES.get(status, "wait"), "label": label or _LABELS[status], "live": status in _LIVE}


@register.inclusion_tag("includes/nav.html", takes_context=True)
def nav(
    context: Context, address: str, icon: str, label: Any, *, note: str = "", only: str = "", keys: str = ""
) -> dict[str, Any]:
    """Show a navigation link, marked on its page and those below. `only`: `phone` or `desk`; `keys`: shortcut."""
    path = context["request"].path
    current = path == address if address == "/" else path.startswith(address)
    link = {"address": address, "icon": icon, "label": label, "note": note, "only": only, "keys": keys}
    return {**link, "current": current}
