"""Texts of reports: the headline figures, and the labels of table lines."""

from dataclasses import dataclass
from typing import Final

from django.utils.formats import number_format
from django.utils.translation import gettext as _

from accounts.time_zones import place
from campaigns.wording import reason_words
from directory.countries import country_name
from project.core.money import from_micros, money, price
from project.core.numbers import number
from project.templatetags import percent
from reports.analytics.breakdown import Figures
from reports.analytics.costs import Cost
from reports.analytics.facets import BREAKDOWNS
from reports.models import Facet

_UNIT_STEP: Final = 100
"""Prices of one message are shown in steps of so many micros."""


@dataclass(frozen=True)
class Headline:
    """One figure with a note, and the figure of the period before."""

    label: str
    value: str
    note: str
    before: str
    tone: str = ""


def headline(current: Figures, before: Figures | None) -> list[Headline]:
    """The headline figures of a report; `before` is None if there is no period to compare with."""
    previous = before or Figures()

    def figure(label: str, pair: tuple[str, str], note: str = "", tone: str = "") -> Headline:
        return Headline(label, pair[0], note, pair[1] if before else "", tone)

    failed = current.failed + current.undelivered
    return [
        figure(
            _("Messages"),
            (number(current.total), number(previous.total)),
            (before and _change(current.total, previous.total)) or "",
        ),
        figure(
            _("Accepted"),
            (percent(current.accepted, current.total), percent(previous.accepted, previous.total)),
            number(current.accepted),
            "sent",
        ),
        figure(
            _("Delivered"),
            (percent(current.delivered, current.receipts), percent(previous.delivered, previous.receipts)),
            _("%(number)s, of messages with a delivery receipt") % {"number": number(current.delivered)}
            if current.receipts
            else _("no delivery receipts"),
            "good",
        ),
        figure(
            _("Failed or undelivered"),
            (number(failed), number(previous.failed + previous.undelivered)),
            percent(failed, current.total),
            "bad",
        ),
        figure(
            _("Parts"), (number(current.parts), number(previous.parts)), _per_message(current.parts, current.accepted)
        ),
        figure(
            _("Attempts"),
            (number(current.attempts), number(previous.attempts)),
            _per_message(current.attempts, current.accepted),
        ),
    ]


def cost_headline(current: Cost, before: Cost | None) -> list[Headline]:
    """The headline figures of the cost, like `headline`."""
    previous = before or Cost()

    def figure(label: str, value: str, was: str, note: str = "") -> Headline:
        return Headline(label, value, note, was if before else "")

    change = _change(current.cost, previous.cost) if before else ""
    return [
        figure(_("Total cost"), money(current.cost), money(previous.cost), change),
        figure(
            _("Messages with a price"),
            number(current.messages),
            number(previous.messages),
            _price_per_message(current),
        ),
        figure(
            _("Parts"), number(current.parts), number(previous.parts), _per_message(current.parts, current.messages)
        ),
    ]


def line_words(facet: Facet, value: str) -> str:
    """The label of a line."""
    words = {Facet.REASON: reason_words, Facet.TIMEZONE: place, Facet.COUNTRY: country_name}.get(facet, str)
    return words(value) if value else str(BREAKDOWNS[facet].no_value)


def _change(current: int, previous: int) -> str:
    """`+12.4 %`, `−3 %`; empty if there is nothing to compare with."""
    if not previous:
        return ""
    share = (current - previous) * 100 / previous
    sign = "+" if share >= 0 else "−"
    return f"{sign}{number_format(abs(share), 1 if abs(share) < 100 else 0)}\N{NARROW NO-BREAK SPACE}%"


def _per_message(part: int, whole: int) -> str:
    """`1.05 per message`."""
    return _("%(number)s per message") % {"number": number_format(part / whole, 2)} if whole else ""


def _price_per_message(cost: Cost) -> str:
    """`0.0125 per message`: with more places than sums have."""
    if not cost.messages:
        return ""
    each = cost.cost // cost.messages // _UNIT_STEP * _UNIT_STEP
    return _("%(number)s per message") % {"number": price(from_micros(each))}
