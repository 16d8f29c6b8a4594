"""What a campaign that is being written would do, and what may go wrong with it, while it can still be changed."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db.models import F
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.zones import place
from campaigns.audience import known_zones, zone_due
from campaigns.models import Campaign, Run, RunMinute, fingerprint_of
from campaigns.preview import Gap, Preview, campaign_preview
from campaigns.states import UNFINISHED, CampaignStatus, Repeat
from campaigns.text import Size, measure, plainer, replace
from campaigns.wording import joined, moment_words, plan_words, takes_words, width_words
from directory.saved import Spread, audience_spread
from project.numbers import number

_LOOKED_AT: Final = 500
_MINUTE: Final = timedelta(minutes=1)
_PLACES: Final = 3


@dataclass(frozen=True)
class Caution:
    """What people should know beforehand; `bars`: it can't be launched like that."""

    text: str
    bars: bool = False
    twin: Campaign | None = None


@dataclass(frozen=True)
class Outlook:
    """All that the composer says. `size` and `because` are of the first sample; `plain` are characters to replace."""

    preview: Preview
    spread: Spread
    size: Size
    because: str
    plain: dict[str, str]
    plan: str
    """One sentence, or nothing as long as the times can't be read."""
    details: str
    cautions: list[Caution]

    @property
    def barred(self) -> bool:
        """Whether it can't be launched."""
        return any(caution.bars for caution in self.cautions)


def outlook_of(plan: Campaign) -> Outlook:
    """Of a campaign, saved or not; its times may be missing."""
    spread = audience_spread(plan.picks)
    preview = campaign_preview(text=plan.text, audience=plan.picks, recipients=spread.number)
    shown = preview.samples[0].text if preview.samples else plan.text
    timed = bool(plan.starts_at and plan.ends_at)
    starts = _starts(plan, spread) if timed else []
    rate = _rate(plan)
    last = _last(starts, rate) if rate else None
    return Outlook(
        preview=preview,
        spread=spread,
        size=measure(shown),
        because=width_words(shown),
        plain=plainer(plan.text),
        plan=plan_words(plan) if timed else "",
        details=" ".join(_details(plan, starts, rate, last)),
        cautions=[
            *_of_text(plan.text, shown, preview),
            *_of_gateway(plan),
            *_of_audience(plan, spread),
            *_of_times(plan, starts, rate, last),
        ],
    )


def _starts(plan: Campaign, spread: Spread) -> list[tuple[datetime, str, int]]:
    """When messages may first leave in each time zone, and to how many contacts; the earliest first."""
    run, numbers, moment = Run(campaign=plan, occurrence=plan.starts_at), dict(spread.zones), now()
    return sorted((zone_due(plan, run, zone, moment), zone, numbers[zone]) for zone in known_zones(plan, numbers))


def _rate(plan: Campaign) -> float | None:
    """Messages a second to reckon with: what is allowed, or else what was reached lately; None if nothing is known."""
    gateways = plan.gateway.rate if plan.gateway else settings.GATEWAY_RATE
    limits = [limit for limit in (plan.rate_limit, gateways, _reached()) if limit]
    return min(limits, default=None)


def _reached() -> float | None:
    """The best of late in a minute that was used from its beginning to its end, by a campaign without a limit."""
    rows = RunMinute.objects.filter(run__campaign__rate_limit=None).order_by("-pk")
    latest = rows.values_list("run", "minute", F("sent") + F("failed"))[:_LOOKED_AT]
    ended = {(run, minute): count for run, minute, count in latest}
    whole = (
        count
        for (run, minute), count in ended.items()
        if (run, minute - _MINUTE) in ended and (run, minute + _MINUTE) in ended
    )
    best = max(whole, default=0)
    return best / 60 if best else None


def _last(starts: list[tuple[datetime, str, int]], rate: float) -> datetime | None:
    """When the last message leaves, if none waits for a window that has closed on it."""
    last: datetime | None = None
    for begins, _zone, contacts in starts:
        last = max(last or begins, begins) + timedelta(seconds=contacts / rate)
    return last


def _details(
    plan: Campaign, starts: list[tuple[datetime, str, int]], rate: float | None, last: datetime | None
) -> Iterator[str]:
    """From where to where, how long, and when the last one leaves."""
    if starts and starts[0][0] < starts[-1][0]:
        (first, first_zone, _n), (latest, latest_zone, _m) = starts[0], starts[-1]
        yield _("From %(first)s (%(first_time)s) to %(last)s (%(last_time)s).") % {
            "first": place(first_zone),
            "first_time": moment_words(first),
            "last": place(latest_zone),
            "last_time": moment_words(latest),
        }
    if rate and last:
        yield takes_words(sum(contacts for *_, contacts in starts) / rate, rate, last)


def _of_text(text: str, shown: str, preview: Preview) -> Iterator[Caution]:
    replaced = plainer(text)
    if replaced:
        before, after = measure(shown).parts, measure(replace(shown, replaced)).parts
        if after < before:
            yield Caution(
                ngettext(
                    "Without %(characters)s it would take %(after)d part instead of %(before)d.",
                    "Without %(characters)s it would take %(after)d parts instead of %(before)d.",
                    after,
                )
                % {"characters": " ".join(replaced), "after": after, "before": before}
            )
    for gap in preview.gaps:
        yield Caution(_gap_words(gap, preview.recipients))


def _gap_words(gap: Gap, recipients: int) -> str:
    told = {"name": f"{{{gap.name}}}", "fallback": gap.fallback, "example": f"{{{gap.name}|…}}"}
    if gap.number == gap.looked_at:
        who = _("None of these contacts has %(name)s") % told
    elif recipients == gap.looked_at:
        who = ngettext("%(number)s contact has no %(name)s", "%(number)s contacts have no %(name)s", gap.number) % {
            **told,
            "number": number(gap.number),
        }
    else:
        who = _("About %(share)s of the contacts have no %(name)s") % {
            **told,
            "share": f"{max(1, round(100 * gap.number / gap.looked_at))}\N{NARROW NO-BREAK SPACE}%",
        }
    if gap.fallback:
        return _("%(who)s and will read “%(fallback)s”.") % {**told, "who": who}
    return _("%(who)s and will read nothing there. %(example)s gives them a word instead.") % {**told, "who": who}


def _of_audience(plan: Campaign, spread: Spread) -> Iterator[Caution]:
    if not spread.number:
        yield Caution(_("Nobody matches this audience now. Who comes to match before the end gets the message."))
    if plan.status not in (CampaignStatus.DRAFT, CampaignStatus.SCHEDULED):
        return
    fingerprint = fingerprint_of(plan.text, plan.picks, plan.repeat)
    twin = Campaign.objects.filter(fingerprint=fingerprint, status__in=UNFINISHED).exclude(pk=plan.pk).first()
    if twin:
        said = _("The same text to the same audience is not finished yet, so this can’t be launched.")
        yield Caution(said, bars=True, twin=twin)


def _of_gateway(plan: Campaign) -> Iterator[Caution]:
    if plan.gateway and plan.gateway.stopped and not plan.gateway.fallback_id:
        yield Caution(
            _("The gateway %(name)s is stopped or not in use: until it works, messages wait.") % {"name": plan.gateway}
        )


def _of_times(
    plan: Campaign, starts: list[tuple[datetime, str, int]], rate: float | None, last: datetime | None
) -> Iterator[Caution]:
    if not (plan.starts_at and plan.ends_at) or plan.status not in (CampaignStatus.DRAFT, CampaignStatus.SCHEDULED):
        return
    if plan.ends_at <= plan.starts_at:
        yield Caution(_("The end must come after the start."), bars=True)
        return
    if plan.ends_at <= now():
        yield Caution(_("The end has passed already."), bars=True)
        return
    if plan.starts_at < now() - _MINUTE and plan.repeat == Repeat.ONCE:
        yield Caution(_("The start has passed, so it begins as soon as it is launched."))
    never = [(zone, contacts) for begins, zone, contacts in starts if begins >= plan.ends_at]
    if never:
        contacts = sum(each for _, each in never)
        yield Caution(
            ngettext(
                "%(number)s contact gets nothing, for its hours don’t begin before the end: %(places)s.",
                "%(number)s contacts get nothing, for their hours don’t begin before the end: %(places)s.",
                contacts,
            )
            % {"number": number(contacts), "places": joined([place(zone) for zone, _ in never], _PLACES)}
        )
    elif rate and last and last > plan.ends_at:
        late = round((last - plan.ends_at).total_seconds() * rate)
        yield Caution(
            ngettext(
                "At this rate about %(number)s message would not leave before the end.",
                "At this rate about %(number)s messages would not leave before the end.",
                late,
            )
            % {"number": number(late)}
        )
