"""What happens and why, in words: one sentence for a campaign's plan, one phrase for each code of a failure."""

import unicodedata
from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import Final

from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.timezone import localdate, localtime, now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from campaigns.calendar import occurrences
from campaigns.gateways.base import Trouble
from campaigns.models import Campaign
from campaigns.states import MARKED, QUARANTINED, RESENT, CampaignStatus, Repeat
from campaigns.statistics import Statistics
from campaigns.text import beyond_gsm7
from project.numbers import number

_REASONS: Final[dict[str, str | Promise]] = {
    Trouble.UNREACHABLE: gettext_lazy("The gateway can’t be reached"),
    Trouble.UNRESOLVED: gettext_lazy("The gateway’s host name is not known"),
    Trouble.TLS: gettext_lazy("No secure connection to the gateway"),
    Trouble.TOO_LATE: gettext_lazy("No time was left to send it"),
    Trouble.TIMEOUT: gettext_lazy("No answer in time"),
    Trouble.RESET: gettext_lazy("The connection broke off"),
    Trouble.OVERSIZED: gettext_lazy("The answer was too long"),
    "redirect": gettext_lazy("The gateway redirects, and redirects are not followed"),
    "not_json": gettext_lazy("The answer could not be understood"),
    "wrong_code": gettext_lazy("The gateway did not say that it accepts"),
    "not_recipient": gettext_lazy("The contact is no longer a recipient"),
    "unknown_zone": gettext_lazy("The contact’s time zone is not known"),
    "empty_text": gettext_lazy("The text comes out empty"),
    QUARANTINED: gettext_lazy("Stopped after three tries without an outcome; it may crash the worker"),
    RESENT: gettext_lazy("Sent again as a new message"),
    MARKED: gettext_lazy("Marked by hand"),
    "unroutable": gettext_lazy("The gateway knows no way to this number"),
    "not_accepted": gettext_lazy("The gateway did not say that it accepts"),
    "not_delivered": gettext_lazy("It did not reach the phone"),
    "refused_by_centre": gettext_lazy("The operator’s message centre refused it"),
    "worker_died": gettext_lazy("The worker died while sending"),
    "http_401": gettext_lazy("The gateway refuses our token (401)"),
    "http_403": gettext_lazy("The gateway refuses our token (403)"),
    "http_408": gettext_lazy("The gateway gave up waiting (408)"),
    "http_413": gettext_lazy("The gateway finds the message too long (413)"),
    "http_425": gettext_lazy("Too early for the gateway (425)"),
    "http_429": gettext_lazy("Too many messages for the gateway (429)"),
    "http_503": gettext_lazy("The gateway is overloaded (503)"),
}
_STARTS: Final = {
    CampaignStatus.DRAFT: gettext_lazy("Would start %(moment)s"),
    CampaignStatus.SCHEDULED: gettext_lazy("Starts %(moment)s"),
    CampaignStatus.CANCELLED: gettext_lazy("Was to start %(moment)s"),
}
_AT_ONCE: Final = {
    CampaignStatus.DRAFT: gettext_lazy("Would start at once"),
    CampaignStatus.SCHEDULED: gettext_lazy("Starts at once"),
}
_CHARACTERS_SHOWN: Final = 8
_AGAIN: Final = {
    Repeat.DAILY: gettext_lazy("again every day"),
    Repeat.WEEKLY: gettext_lazy("again every week"),
    Repeat.MONTHLY: gettext_lazy("again every month"),
}


def reason_words(code: str) -> str:
    """A failure's code (`timeout`, `http_400`) as people say it; nothing of an empty one."""
    if code in _REASONS:
        return str(_REASONS[code])
    status = code.removeprefix("http_")
    if status.startswith("4"):
        return _("Refused by the gateway (%(status)s)") % {"status": status}
    if status.startswith("5"):
        return _("The gateway had an error of its own (%(status)s)") % {"status": status}
    return _("An answer that nobody expected: %(code)s") % {"code": code} if code else ""


def moment_words(moment: datetime) -> str:
    """`today 10:00`, `tomorrow 10:00`, `Thu 26 Nov 21:00`, in the reader's zone; the year where it is another one."""
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
    """When it starts or started, how often, in whose time, within which hours, how fast, and until when."""
    parts = [_start(campaign)]
    if campaign.repeat in _AGAIN:
        parts.append(str(_AGAIN[Repeat(campaign.repeat)]))
    if campaign.window:
        parts.append(_window(*campaign.window))
    if campaign.rate_limit:
        parts.append(_("at most %(rate)s a second") % {"rate": f"{campaign.rate_limit:g}"})
    parts.append(_end(campaign))
    return ", ".join(parts) + "."


def width_words(text: str) -> str:
    """What makes a text UCS-2, so that fewer characters fit into a part; nothing of a GSM-7 one."""
    wide = beyond_gsm7(text)
    if any(unicodedata.name(character, "").startswith("CYRILLIC") for character in wide):
        return _("because of Cyrillic")
    shown = " ".join(wide[:_CHARACTERS_SHOWN]) + (" …" if len(wide) > _CHARACTERS_SHOWN else "")
    return _("because of %(characters)s") % {"characters": shown} if wide else ""


def pace_words(campaign: Campaign, statistics: Statistics) -> str:
    """`412 a minute · about 9 min left`, or `next run tomorrow 10:00`, or `took 12 min`, or nothing."""
    if campaign.status == CampaignStatus.RUNNING:
        words = []
        if statistics.done == statistics.total:
            upcoming = _next_start(campaign)
            return _("next run %(moment)s") % {"moment": moment_words(upcoming)} if upcoming else ""
        if statistics.rate:
            words.append(_("%(number)s a minute") % {"number": number(round(statistics.rate * 60))})
        if statistics.eta:
            words.append(_("about %(span)s left") % {"span": _span(statistics.eta - now())})
        return " · ".join(words)
    if campaign.finished_at and statistics.started_at and campaign.repeat == Repeat.ONCE:
        return _("took %(span)s") % {"span": _span(campaign.finished_at - statistics.started_at)}
    return ""


def _next_start(campaign: Campaign) -> datetime | None:
    """When the next run of a repeated campaign is planned, by its own clock."""
    moment = now()
    for occurrence in occurrences(campaign.starts_at, campaign.repeat, campaign.timezone):
        if occurrence >= campaign.ends_at:
            break
        if occurrence > moment:
            return occurrence
    return None


def joined(names: Sequence[str], most: int) -> str:
    """The first of them, and how many more there are."""
    shown = ", ".join(names[:most])
    return _("%(names)s and %(more)d more") % {"names": shown, "more": len(names) - most} if names[most:] else shown


def takes_words(seconds: float, rate: float, last: datetime) -> str:
    """How long so many messages take at so many a second, and when the last of them leaves."""
    return _("Sending takes about %(span)s at %(number)s a minute; the last message leaves about %(moment)s.") % {
        "span": _span(timedelta(seconds=seconds)),
        "number": number(max(1, round(rate * 60))),
        "moment": moment_words(last),
    }


def _span(length: timedelta) -> str:
    """In seconds, minutes or hours, whichever is the largest that fits."""
    seconds = max(1, round(length.total_seconds()))
    if seconds < 90:
        return _("%(count)d s") % {"count": seconds}
    if seconds < 5400:
        return _("%(count)d min") % {"count": round(seconds / 60)}
    return _("%(count)d h") % {"count": round(seconds / 3600)}


def _start(campaign: Campaign) -> str:
    status = CampaignStatus(campaign.status)
    if status in _AT_ONCE and campaign.starts_at <= now() and not campaign.local_time:
        return str(_AT_ONCE[status])
    template = _STARTS.get(status) or gettext_lazy("Started %(moment)s")
    start = template % {"moment": moment_words(campaign.starts_at)}
    return _("%(start)s in each contact’s own time") % {"start": start} if campaign.local_time else start


def _end(campaign: Campaign) -> str:
    if campaign.status == CampaignStatus.FINISHED and campaign.finished_at:
        return _("finished %(moment)s") % {"moment": moment_words(campaign.finished_at)}
    return _("until %(moment)s") % {"moment": moment_words(campaign.ends_at)}


def _window(start: time, end: time) -> str:
    return _("only %(start)s–%(end)s of their day") % {"start": f"{start:%H:%M}", "end": f"{end:%H:%M}"}
