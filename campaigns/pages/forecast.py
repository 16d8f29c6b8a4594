"""The forecast in the composer: what a campaign will do, with warnings about problems."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Final

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.models import known_timezones
from accounts.time_zones import place
from campaigns.cheaper import Rewriting, in_latin_letters, in_standard_alphabet
from campaigns.gateways import registry
from campaigns.gateways.protocol import Verdict
from campaigns.metrics import GATEWAY_SECONDS
from campaigns.models import Campaign, Run
from campaigns.pages.senders import sender_words
from campaigns.pages.wording import character_words, joined, moment_words, plan_words, takes_words, width_words
from campaigns.placeholders import check_placeholders
from campaigns.planning import recurrence
from campaigns.planning.preview import Gap, Preview, campaign_preview
from campaigns.planning.recipients import known_zones, zone_due
from campaigns.prices.estimate import Estimate, priced_audience
from campaigns.states import UNFINISHED, CampaignStatus, Repeat
from campaigns.text import PLACEHOLDER, Size, measure
from directory.audiences.services import Distribution, audience_distribution
from directory.countries import country_name
from project.core.clock import now
from project.core.money import to_micros
from project.core.numbers import number

_MIN_REQUESTS: Final = 20  # requests, before their mean is meaningful
_NIGHT: Final = (time(22), time(8))
DAYTIME: Final = (time(9), time(21))
_MINUTE: Final = timedelta(minutes=1)
_MAX_PLACES: Final = 3


@dataclass(frozen=True)
class LaunchWarning:
    """A warning before the launch. `at_night`: sending hours would help."""

    text: str
    prevents_launch: bool = False
    at_night: bool = False
    duplicate: Campaign | None = None


@dataclass(frozen=True)
class CheaperText:
    """A version of the text that takes `after` parts instead of `before` for the first sample."""

    text: str
    before: int
    after: int
    lost: str
    """Characters without an equivalent, for a sentence; empty if there are none."""
    saving: int | None
    """What it saves for all recipients, in micros; None if no price is known."""


@dataclass(frozen=True)
class Forecast:
    """The whole forecast.

    `size` and `encoding_reason` are for the first sample. `plain_text` is the text in the standard alphabet, and
    `latin_text` a Cyrillic text in Latin letters, if that takes fewer parts.
    """

    preview: Preview
    distribution: Distribution
    size: Size
    encoding_reason: str
    plain_text: CheaperText | None
    latin_text: CheaperText | None
    estimate: Estimate | None
    """What one run costs; None while there are neither prices nor gateways that take only some numbers."""
    cost_is_exact: bool
    repeats: bool
    plan: str
    """One sentence; empty while the times are invalid."""
    details: str
    sender: str
    """The sender name, or a text for the default one; empty if there is none."""
    launch_warnings: list[LaunchWarning]

    @property
    def daytime(self) -> tuple[time, time]:
        """The sending hours to offer if messages would be sent at night."""
        return DAYTIME

    @property
    def launch_prevented(self) -> bool:
        """Whether the launch is impossible."""
        return any(warning.prevents_launch for warning in self.launch_warnings)


def forecast_of(plan: Campaign) -> Forecast:
    """The forecast for a campaign, saved or not; its times may be missing."""
    distribution = audience_distribution(plan.audience_filter)
    plain = in_standard_alphabet(plan.text)
    cheaper = plain or in_latin_letters(plan.text)
    preview = campaign_preview(
        text=plan.text,
        audience=plan.audience_filter,
        recipients=distribution.number,
        alternatives=[cheaper.text] if cheaper else [],
    )
    priced = priced_audience(plan.audience_filter, plan.gateway_id, plan.starts_at)
    estimates = [priced.estimate(size.mean) for size in preview.sizes] if priced else []
    offered = _cheaper_text(cheaper, preview, estimates)
    estimate = estimates[0] if estimates else None
    shown = preview.samples[0].text if preview.samples else plan.text
    has_times = bool(plan.starts_at and plan.ends_at)
    starts = _starts(plan, distribution) if has_times else []
    rate = _rate(plan)
    last = _last(starts, rate) if rate else None
    return Forecast(
        preview=preview,
        distribution=distribution,
        size=measure(shown),
        encoding_reason=width_words(shown),
        plain_text=offered if plain else None,
        latin_text=None if plain else offered,
        estimate=estimate,
        cost_is_exact=PLACEHOLDER.search(plan.text) is None,
        repeats=plan.repeat != Repeat.ONCE,
        plan=plan_words(plan) if has_times else "",
        details=" ".join(_details(plan, starts, rate, last)),
        sender=sender_words(plan),
        launch_warnings=[
            *_warn_of_placeholders(plan),
            *(LaunchWarning(_gap_words(gap, preview.recipients)) for gap in preview.gaps),
            *_warn_of_gateway(plan),
            *_warn_of_sender(plan),
            *(_warn_of_costs(plan, estimate) if estimate else ()),
            *_warn_of_audience(plan, distribution),
            *_warn_of_times(plan, starts, rate, last),
            *_warn_of_night(plan, starts, rate),
        ],
    )


def _cheaper_text(rewriting: Rewriting | None, preview: Preview, estimates: Sequence[Estimate]) -> CheaperText | None:
    """The offer of a cheaper text; None if it takes no fewer parts, for example because of the contacts' names."""
    if rewriting is None or not preview.sizes or preview.sizes[1].parts >= preview.sizes[0].parts:
        return None
    before, after = preview.sizes
    costs = [estimate.cost for estimate in estimates if estimate.cost is not None]
    saving = costs[0] - costs[1] if costs else None
    return CheaperText(rewriting.text, before.parts, after.parts, character_words(rewriting.lost), saving)


def _starts(plan: Campaign, distribution: Distribution) -> list[tuple[datetime, str, int]]:
    """The start, time zone and number of contacts for each zone, earliest first."""
    run, numbers, moment = Run(campaign=plan, occurrence=plan.starts_at), dict(distribution.zones), now()
    return sorted((zone_due(plan, run, zone, moment), zone, numbers[zone]) for zone in known_zones(plan, numbers))


def _rate(plan: Campaign) -> float | None:
    """Expected messages per second: the lowest limit of campaign, gateway, and concurrency at the measured latency.

    None if there is no limit and the latency is unknown. Past throughput is no measure: there may have been little to
    send.
    """
    gateway = plan.gateway.name if plan.gateway else settings.GATEWAY
    limits = registry.limits(gateway)
    latency = GATEWAY_SECONDS.mean(gateway, Verdict.SENT, at_least=_MIN_REQUESTS)
    rates = (plan.rate_limit, limits.rate, latency and limits.concurrency / latency)
    return min((rate for rate in rates if rate), default=None)


def _last(starts: list[tuple[datetime, str, int]], rate: float) -> datetime | None:
    """When the last message is sent, ignoring windows that close before."""
    last: datetime | None = None
    for begins, _zone, contacts in starts:
        last = max(last or begins, begins) + timedelta(seconds=contacts / rate)
    return last


def _details(
    plan: Campaign, starts: list[tuple[datetime, str, int]], rate: float | None, last: datetime | None
) -> Iterator[str]:
    """The first and last zone, the duration, and when the last message is sent."""
    if starts and starts[0][0] < starts[-1][0]:
        (first, first_zone, _n), (latest, latest_zone, _m) = starts[0], starts[-1]
        yield _("From %(first_time)s (%(first)s) to %(last_time)s (%(last)s).") % {
            "first": place(first_zone),
            "first_time": moment_words(first),
            "last": place(latest_zone),
            "last_time": moment_words(latest),
        }
    if rate and last:
        yield takes_words(sum(contacts for *_, contacts in starts) / rate, rate, last)


def _warn_of_placeholders(plan: Campaign) -> Iterator[LaunchWarning]:
    if plan.status not in (CampaignStatus.DRAFT, CampaignStatus.SCHEDULED, CampaignStatus.PAUSED):
        return
    try:
        check_placeholders(plan.text, plan.audience_filter)
    except ValidationError as error:
        yield LaunchWarning(" ".join(error.messages), prevents_launch=True)


def _gap_words(gap: Gap, recipients: int) -> str:
    values = {"name": f"{{{gap.name}}}", "fallback": gap.fallback, "example": f"{{{gap.name}|…}}"}
    if gap.number == gap.measured:
        who = _("No contact has %(name)s") % values
    elif recipients == gap.measured:
        who = ngettext("%(number)s contact has no %(name)s", "%(number)s contacts have no %(name)s", gap.number) % {
            **values,
            "number": number(gap.number),
        }
    else:
        who = _("About %(share)s of the contacts have no %(name)s") % {
            **values,
            "share": f"{max(1, round(100 * gap.number / gap.measured))}\N{NARROW NO-BREAK SPACE}%",
        }
    if gap.fallback:
        return _("%(who)s; they will see “%(fallback)s”.") % {**values, "who": who}
    return _("%(who)s; they will see nothing there. Use %(example)s to set a default.") % {**values, "who": who}


def _warn_of_audience(plan: Campaign, distribution: Distribution) -> Iterator[LaunchWarning]:
    if not distribution.number:
        yield LaunchWarning(
            _(
                "No contacts match this audience now. Contacts that match later, before the campaign ends, will get "
                "the message."
            )
        )
    if plan.status not in (CampaignStatus.DRAFT, CampaignStatus.SCHEDULED):
        return
    fingerprint = plan.identity()
    duplicate = Campaign.objects.filter(fingerprint=fingerprint, status__in=UNFINISHED).exclude(pk=plan.pk).first()
    if duplicate and duplicate.owner_id != plan.owner_id:  # neither its text nor its name may be disclosed
        yield LaunchWarning(
            _("This campaign conflicts with an unfinished campaign of another user."), prevents_launch=True
        )
    elif duplicate:
        text = _(
            "An unfinished campaign already sends the same text to the same audience, so this one can’t be launched."
        )
        yield LaunchWarning(text, prevents_launch=True, duplicate=duplicate)


def _warn_of_gateway(plan: Campaign) -> Iterator[LaunchWarning]:
    if plan.gateway and plan.gateway.stopped and not plan.gateway.fallback_id:
        yield LaunchWarning(
            _("The gateway %(name)s does not respond or is not in use. Messages wait until it works.")
            % {"name": plan.gateway}
        )


def _warn_of_sender(plan: Campaign) -> Iterator[LaunchWarning]:
    if plan.status not in (CampaignStatus.DRAFT, CampaignStatus.SCHEDULED):
        return
    problem = registry.sender_problem(plan.gateway, plan.sender)
    if problem:
        yield LaunchWarning(problem, prevents_launch=True)


def _warn_of_costs(plan: Campaign, estimate: Estimate) -> Iterator[LaunchWarning]:
    if estimate.unpriced:
        contacts = sum(estimate.unpriced.values())
        yield LaunchWarning(
            ngettext(
                "No price is known for %(number)s recipient: %(countries)s.",
                "No price is known for %(number)s recipients: %(countries)s.",
                contacts,
            )
            % {"number": number(contacts), "countries": _country_words(estimate.unpriced)}
        )
    if estimate.unreachable:
        contacts = sum(estimate.unreachable.values())
        yield LaunchWarning(
            ngettext(
                "No gateway takes the number of %(number)s contact: %(countries)s.",
                "No gateway takes the numbers of %(number)s contacts: %(countries)s.",
                contacts,
            )
            % {"number": number(contacts), "countries": _country_words(estimate.unreachable)}
        )
    if estimate.cost is not None and plan.budget is not None and estimate.cost > to_micros(plan.budget):
        yield LaunchWarning(_("The estimated cost exceeds the budget, so sending will pause before the end."))


def _country_words(codes: Iterable[str]) -> str:
    return joined([country_name(code) or _("unknown country") for code in codes], _MAX_PLACES)


def _warn_of_times(
    plan: Campaign, starts: list[tuple[datetime, str, int]], rate: float | None, last: datetime | None
) -> Iterator[LaunchWarning]:
    if not (plan.starts_at and plan.ends_at) or plan.status not in (CampaignStatus.DRAFT, CampaignStatus.SCHEDULED):
        return
    if plan.ends_at <= plan.starts_at:
        yield LaunchWarning(_("The end must be after the start."), prevents_launch=True)
        return
    if plan.ends_at <= now():
        yield LaunchWarning(_("The end time has already passed."), prevents_launch=True)
        return
    if plan.starts_at < now() - _MINUTE and plan.repeat == Repeat.ONCE:
        yield LaunchWarning(_("The start time has passed, so the campaign starts as soon as you launch it."))
    too_late = [(zone, contacts) for begins, zone, contacts in starts if begins >= plan.ends_at]
    if too_late:
        contacts = sum(count for _, count in too_late)
        yield LaunchWarning(
            ngettext(
                "%(number)s contact will get no message because its sending hours begin after the campaign ends: "
                "%(places)s.",
                "%(number)s contacts will get no message because their sending hours begin after the campaign "
                "ends: %(places)s.",
                contacts,
            )
            % {"number": number(contacts), "places": joined([place(zone) for zone, _ in too_late], _MAX_PLACES)}
        )
    elif rate and last and last > plan.ends_at:
        unsent = round((last - plan.ends_at).total_seconds() * rate)
        yield LaunchWarning(
            ngettext(
                "At this speed about %(number)s message will not be sent before the campaign ends.",
                "At this speed about %(number)s messages will not be sent before the campaign ends.",
                unsent,
            )
            % {"number": number(unsent)}
        )


def _warn_of_night(
    plan: Campaign, starts: list[tuple[datetime, str, int]], rate: float | None
) -> Iterator[LaunchWarning]:
    """Warn if contacts would get messages between 22:00 and 8:00 local time."""
    if plan.status not in (CampaignStatus.DRAFT, CampaignStatus.SCHEDULED, CampaignStatus.PAUSED):
        return
    at_night_by_zone, sender_free_at = {}, None
    for begins, zone, contacts in starts:
        sender_free_at = max(sender_free_at or begins, begins)
        at_night_by_zone[zone] = _at_night(plan, zone, sender_free_at, contacts, rate)
        sender_free_at += timedelta(seconds=contacts / rate if rate else 0)
    total_at_night = sum(at_night_by_zone.values())
    if total_at_night:
        yield LaunchWarning(
            ngettext(
                "%(number)s contact will get the message between 22:00 and 8:00 local time: %(places)s.",
                "%(number)s contacts will get the message between 22:00 and 8:00 local time: %(places)s.",
                total_at_night,
            )
            % {
                "number": number(total_at_night),
                "places": joined([place(zone) for zone in at_night_by_zone if at_night_by_zone[zone]], _MAX_PLACES),
            },
            at_night=True,
        )


def _at_night(plan: Campaign, zone: str, begins: datetime, contacts: int, rate: float | None) -> int:
    """How many contacts of a zone get their message at night if sending there starts at `begins`."""
    night = _first_night(plan, zone, begins)
    if night is None or night >= plan.ends_at:
        return 0
    if night == begins or not rate:
        return contacts if night == begins else 0
    closes = recurrence.next_closing(plan.hours, begins, zone) if plan.hours else night
    return max(0, contacts - int((min(night, closes) - begins).total_seconds() * rate))


def _first_night(plan: Campaign, zone: str, begins: datetime) -> datetime | None:
    """The first moment from `begins` on at which it is night in that zone and sending is allowed."""
    if zone not in known_timezones():
        return None
    night = recurrence.next_opening(_NIGHT, begins, zone)
    if plan.hours:
        night = recurrence.next_opening(plan.hours, night, zone)
    return night if recurrence.is_open(_NIGHT, night, zone) else None
