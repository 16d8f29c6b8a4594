"""What became of messages in a period, as a whole and by whatever tells them apart: read from the tallies.

A message counts in the hour in which it came to stand where it does. All figures of a report come from the same
tallies, so that each breakdown adds up to the whole; only tags do not, for a contact may have several or none.
"""

import operator
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from functools import reduce
from typing import Final, NamedTuple

from django.db.models import F, QuerySet, Sum
from django.utils.timezone import localtime

from accounts.models import User
from campaigns.models import Campaign
from campaigns.states import OPEN
from reports.models import Facet, Tally
from reports.periods import Period
from reports.tallies import ENDED

NAMES: Final = (*ENDED, "parts", "attempts", "tries")
TOLD_APART: Final = (Facet.OPERATOR, Facet.TIMEZONE, Facet.TAG, Facet.REASON)
_SUMS: Final = tuple(map(Sum, NAMES))


class Figures(NamedTuple):
    """How many messages ended in each way; the parts of those that were accepted; attempts, and those that failed."""

    sent: int = 0
    delivered: int = 0
    undelivered: int = 0
    failed: int = 0
    expired: int = 0
    cancelled: int = 0
    unknown: int = 0
    parts: int = 0
    attempts: int = 0
    tries: int = 0

    @property
    def total(self) -> int:
        """All messages that came to an end."""
        return sum(getattr(self, status) for status in ENDED)

    @property
    def accepted(self) -> int:
        """Those that the gateway took."""
        return self.sent + self.delivered + self.undelivered

    @property
    def receipts(self) -> int:
        """Those of which the gateway has told whether they arrived."""
        return self.delivered + self.undelivered

    @property
    def by_status(self) -> dict[str, int]:
        """As a meter wants them."""
        return {**dict.fromkeys(OPEN, 0), **{status: getattr(self, status) for status in ENDED}}


def added(rows: Iterable[Figures]) -> Figures:
    """All of them together."""
    return Figures(*map(sum, zip(*rows, strict=True)))


@dataclass(frozen=True)
class Line:
    """The figures of one value of a facet."""

    value: str
    figures: Figures


@dataclass(frozen=True)
class Hours:
    """The figures of each hour in which anything came to an end."""

    rows: list[tuple[datetime, Figures]]

    @property
    def whole(self) -> Figures:
        """All of them together."""
        return added(figures for _hour, figures in self.rows)

    def by_day(self, days: Iterable[date] | None) -> dict[date, Figures]:
        """Each of those days by the reader's clock, or from the first to the last in which there was anything."""
        found: dict[date, list[Figures]] = defaultdict(list)
        for hour, figures in self.rows:
            found[localtime(hour).date()].append(figures)
        if days is None:
            days = Period(min(found), max(found)).days if found else ()
        return {day: added(found[day]) for day in days}

    def by_hour(self) -> list[Figures]:
        """Each hour of the day by the reader's clock, over all days."""
        found: list[list[Figures]] = [[] for _ in range(24)]
        for hour, figures in self.rows:
            found[localtime(hour).hour].append(figures)
        return [added(rows) for rows in found]


def tallies_of(user: User, campaign: Campaign | None = None) -> QuerySet[Tally]:
    """The tallies that the user may see: one campaign's, one's own, or for an administrator all."""
    rows = Tally.objects.order_by()
    if campaign is not None:
        return rows.filter(campaign=campaign)
    return rows if user.is_staff else rows.filter(campaign__owner=user)


def within(rows: QuerySet[Tally], period: Period | None) -> QuerySet[Tally]:
    """Those of the period, or all."""
    return rows if period is None else rows.filter(hour__gte=period.since, hour__lt=period.until)


def hours(rows: QuerySet[Tally]) -> Hours:
    """The figures of each hour, the first first."""
    found = rows.filter(facet=Facet.WHOLE).values_list("hour").annotate(*_SUMS).order_by("hour")
    return Hours([(hour, Figures(*numbers)) for hour, *numbers in found])


def before(rows: QuerySet[Tally], period: Period) -> Figures:
    """The whole of as many days before."""
    since, until = period.before()
    earlier = rows.filter(facet=Facet.WHOLE, hour__gte=since, hour__lt=until)
    return Figures(*(number or 0 for number in earlier.aggregate(*_SUMS).values()))


def by_facet(rows: QuerySet[Tally], *facets: Facet) -> dict[Facet, list[Line]]:
    """The lines of those facets, the largest first, in one query."""
    found: dict[Facet, list[Line]] = {facet: [] for facet in facets}
    for facet, value, *numbers in rows.filter(facet__in=facets).values_list("facet", "value").annotate(*_SUMS):
        found[Facet(facet)].append(Line(value, Figures(*numbers)))
    for lines in found.values():
        lines.sort(key=lambda line: (-line.figures.total, -line.figures.tries, line.value))
    return found


def by_campaign(rows: QuerySet[Tally], most: int) -> dict[int, Figures]:
    """The figures of the campaigns with the most messages, the largest first; deleted ones are not listed."""
    listed = rows.filter(facet=Facet.WHOLE, campaign__in=Campaign.objects.visible())
    messages = reduce(operator.add, (F(f"{name}__sum") for name in ENDED))
    found = listed.values_list("campaign").annotate(*_SUMS).annotate(total=messages).order_by("-total", "-campaign")
    return {campaign: Figures(*numbers) for campaign, *numbers, _total in found[:most]}
