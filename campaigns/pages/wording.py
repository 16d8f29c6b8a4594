"""Texts about campaigns, such as a sentence for a campaign's plan."""

import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime, time, timedelta
from typing import Final

from babel.lists import format_list
from django.conf import settings
from django.db.models import Min
from django.utils.formats import date_format
from django.utils.timezone import localdate, localtime
from django.utils.translation import get_language, gettext_lazy, to_locale
from django.utils.translation import gettext as _

from campaigns.models import Campaign
from campaigns.planning.recurrence import occurrences
from campaigns.states import CampaignStatus, Repeat
from campaigns.statistics import Statistics
from campaigns.text import beyond_gsm7
from project.core.clock import now
from project.core.money import money, to_micros
from project.core.numbers import number

_STARTS: Final = {
    CampaignStatus.DRAFT: gettext_lazy("Will start %(moment)s"),
    CampaignStatus.SCHEDULED: gettext_lazy("Starts %(moment)s"),
    CampaignStatus.CANCELLED: gettext_lazy("Was scheduled to start %(moment)s"),
}
_IMMEDIATE: Final = {
    CampaignStatus.DRAFT: gettext_lazy("Will start immediately after launch"),
    CampaignStatus.SCHEDULED: gettext_lazy("Starts immediately"),
}
_STARTED: Final = gettext_lazy("Started %(moment)s")
_LATE: Final = timedelta(minutes=1)
_CHARACTERS_SHOWN: Final = 8
_REPEATS: Final = {
    Repeat.DAILY: gettext_lazy("repeats every day"),
    Repeat.WEEKLY: gettext_lazy("repeats every week"),
    Repeat.MONTHLY: gettext_lazy("repeats every month"),
}


def moment_words(moment: datetime) -> str:
    """`today 10:00`, `tomorrow 10:00`, `Thu 26 Nov 21:00`, in the user's zone; with the year if it differs."""
    local, today = localtime(moment), localdate()
    clock = date_format(local, "H:i")
    if local.date() == today:
        return _("today %(clock)s") % {"clock": clock}
    if local.date() == today + timedelta(days=1):
        return _("tomorrow %(clock)s") % {"clock": clock}
    if local.date() == today - timedelta(days=1):
        return _("yesterday %(clock)s") % {"clock": clock}
    return date_format(local, _("D j M H:i") if local.year == today.year else _("j M Y H:i"))


def plan_words(campaign: Campaign) -> str:
    """Start, repetition, local time, sending hours, speed limit and end of a campaign."""
    parts = [_start(campaign)]
    if campaign.repeat in _REPEATS:
        parts.append(str(_REPEATS[Repeat(campaign.repeat)]))
    if campaign.hours:
        parts.append(_window(*campaign.hours))
    if campaign.rate_limit:
        parts.append(_("at most %(rate)s per second") % {"rate": f"{campaign.rate_limit:g}"})
    if campaign.budget is not None:
        parts.append(_("at most %(budget)s") % {"budget": money(to_micros(campaign.budget))})
    parts.append(_end(campaign))
    return ", ".join(parts) + "."


def width_words(text: str) -> str:
    """Which characters make a text UCS-2, so that fewer fit into a part; empty for GSM-7."""
    wide = beyond_gsm7(text)
    if any(unicodedata.name(character, "").startswith("CYRILLIC") for character in wide):
        return _("because of Cyrillic")
    return _("because of %(characters)s") % {"characters": character_words(wide)} if wide else ""


def character_words(characters: Iterable[str]) -> str:
    """The first of the characters as a part of a sentence; those that can't be seen are named."""
    names = {character: _name_if_invisible(character) for character in characters}
    visible = [character for character, name in names.items() if not name]
    shown = " ".join(visible[:_CHARACTERS_SHOWN]) + (" …" if visible[_CHARACTERS_SHOWN:] else "")
    words = [shown, *dict.fromkeys(names.values())]
    return str(format_list(list(filter(None, words)), locale=to_locale(get_language() or settings.LANGUAGE_CODE)))


def _name_if_invisible(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Zs":
        return _("a no-break space")
    return _("an invisible character") if category in ("Cf", "Cc", "Mn") else ""


def pace_words(campaign: Campaign, statistics: Statistics) -> str:
    """`412 per minute · about 9 min left`, `next run tomorrow 10:00`, `took 12 min`, or an empty string."""
    if campaign.status == CampaignStatus.RUNNING:
        words = []
        if statistics.done == statistics.total:
            upcoming = _next_start(campaign)
            return _("next run %(moment)s") % {"moment": moment_words(upcoming)} if upcoming else ""
        if statistics.rate:
            words.append(_("%(number)s per minute") % {"number": number(round(statistics.rate * 60))})
        if statistics.eta:
            words.append(_("about %(span)s left") % {"span": _span(statistics.eta - now())})
        return " · ".join(words)
    if campaign.finished_at and statistics.started_at and campaign.repeat == Repeat.ONCE:
        return _("took %(span)s") % {"span": _span(campaign.finished_at - statistics.started_at)}
    return ""


def _next_start(campaign: Campaign) -> datetime | None:
    """When the next run of a repeated campaign is planned, in its own time zone."""
    moment = now()
    for occurrence in occurrences(campaign.starts_at, campaign.repeat, campaign.timezone):
        if occurrence >= campaign.ends_at:
            break
        if occurrence > moment:
            return occurrence
    return None


def joined(names: Sequence[str], limit: int) -> str:
    """The first names, and how many more there are."""
    shown = ", ".join(names[:limit])
    return _("%(names)s and %(more)d more") % {"names": shown, "more": len(names) - limit} if names[limit:] else shown


def takes_words(seconds: float, rate: float, last: datetime) -> str:
    """How long sending takes at that rate, and when the last message is sent."""
    return _("Sending takes about %(span)s at %(number)s per minute; the last message is sent about %(moment)s.") % {
        "span": _span(timedelta(seconds=seconds)),
        "number": number(max(1, round(rate * 60))),
        "moment": moment_words(last),
    }


def _span(length: timedelta) -> str:
    """A duration in seconds, minutes or hours."""
    seconds = max(1, round(length.total_seconds()))
    if seconds < 90:
        return _("%(count)d s") % {"count": seconds}
    if seconds < 5400:
        return _("%(count)d min") % {"count": round(seconds / 60)}
    return _("%(count)d h") % {"count": round(seconds / 3600)}


def _start(campaign: Campaign) -> str:
    status = CampaignStatus(campaign.status)
    if status in _IMMEDIATE and campaign.starts_at <= now() and not campaign.local_time:
        return str(_IMMEDIATE[status])
    template = _STARTS.get(status) or _STARTED
    started_at = _first_start(campaign) if template is _STARTED else None
    if started_at is not None and started_at - campaign.starts_at >= _LATE:
        times = {"planned": moment_words(campaign.starts_at), "started": moment_words(started_at)}
        return _("Planned for %(planned)s, started %(started)s") % times
    start = template % {"moment": moment_words(campaign.starts_at)}
    return _("%(start)s in each contact’s local time") % {"start": start} if campaign.local_time else start


def _first_start(campaign: Campaign) -> datetime | None:
    """When its first run began; None in local time, because each zone has its own start."""
    if campaign.local_time or campaign.pk is None:
        return None
    started_at: datetime | None = campaign.runs.aggregate(started_at=Min("started_at"))["started_at"]
    return started_at


def _end(campaign: Campaign) -> str:
    if campaign.status == CampaignStatus.FINISHED and campaign.finished_at:
        return _("finished %(moment)s") % {"moment": moment_words(campaign.finished_at)}
    return _("until %(moment)s") % {"moment": moment_words(campaign.ends_at)}


def _window(start: time, end: time) -> str:
    return _("only %(start)s–%(end)s local time") % {"start": f"{start:%H:%M}", "end": f"{end:%H:%M}"}
