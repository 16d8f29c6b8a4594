"""Outcomes of messages in a period, in total and broken down by facets, read from the tallies.

A message counts in the hour in which it ended. All figures of a report come from the same tallies, so each breakdown
adds up to the total. Tags are the exception, because a contact may have several or none.
"""

import operator
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from typing import Any, Final, NamedTuple

from django.db.models import F, Func, QuerySet, Sum
from django.db.models.functions import ExtractHour, TruncDate

from accounts.models import User
from campaigns.models import Campaign
from campaigns.states import ACCEPTED, ENDED, OPEN
from reports.analytics.costs import Costs
from reports.analytics.periods import Period, between
from reports.analytics.totals import NAMES
from reports.models import EVERYONE, Facet, Tally, Total

_SUMS: Final = tuple(map(Sum, NAMES))
_DAY: Final = timedelta(days=1)
_MICROSECOND: Final = timedelta(microseconds=1)

Rows = QuerySet[Any]
"""Tallies or totals, which have the same columns."""


class Figures(NamedTuple):
    """Numbers of messages by final status; parts of accepted messages; attempts, and failed attempts (`tries`)."""

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
        """All ended messages."""
        return sum(getattr(self, status) for status in ENDED)

    @property
    def accepted(self) -> int:
        """Messages that the gateway accepted."""
        return sum(getattr(self, status) for status in ACCEPTED)

    @property
    def receipts(self) -> int:
        """Messages with a delivery receipt."""
        return self.delivered + self.undelivered

    @property
    def by_status(self) -> dict[str, int]:
        """The numbers by status, for a meter."""
        return {**dict.fromkeys(OPEN, 0), **{status: getattr(self, status) for status in ENDED}}


def sum_of(rows: Iterable[Figures]) -> Figures:
    """The sum of several figures."""
    return Figures(*map(sum, zip(*rows, strict=True)))


@dataclass(frozen=True)
class Line:
    """The figures of one value of a facet."""

    value: str
    figures: Figures


def lines_of(found: Mapping[str, Iterable[Figures]]) -> list[Line]:
    """One line for each value, the largest first."""
    lines = [Line(value, sum_of(figures)) for value, figures in found.items()]
    return sorted(lines, key=lambda line: (-line.figures.total, -line.figures.tries, line.value))


@dataclass(frozen=True)
class Scope:
    """The scope of a report: tallies, their totals if there are any, costs, and a period or all time."""

    tallies: QuerySet[Tally]
    totals: QuerySet[Total] | None
    costs: Costs
    period: Period | None

    @classmethod
    def of(cls, user: User, period: Period | None, campaign: Campaign | None = None) -> "Scope":
        """The scope for a user: one campaign, the user's own campaigns, or for an administrator all."""
        tallies, totals = Tally.objects.order_by(), Total.objects.order_by()
        costs = Costs.of(user, period, campaign)
        if campaign is not None:
            return cls(tallies.filter(campaign=campaign), None, costs, period)
        if user.is_staff:
            return cls(tallies, totals.filter(owner=EVERYONE), costs, period)
        return cls(tallies.filter(campaign__owner=user), totals.filter(owner=user.pk), costs, period)

    def by_day(self) -> dict[date, Figures]:
        """Figures by day in the user's time zone; without a period, from the first to the last day with activity."""
        found, period = self._grouped_by(TruncDate("hour")), self.period
        if period is None and found:
            period = Period(min(found), max(found))
        return {day: found.get(day, Figures()) for day in period.days} if period else {}

    def by_hour(self) -> list[Figures]:
        """Figures by hour of the day in the user's time zone, over all days."""
        found = self._grouped_by(ExtractHour("hour"))
        return [found.get(hour, Figures()) for hour in range(24)]

    def _grouped_by(self, part: Func) -> dict[Any, Figures]:
        rows = self._whole if self.period is None else between(self._whole, self.period.since, self.period.until)
        return {key: Figures(*numbers) for key, *numbers in rows.values_list(part).annotate(*_SUMS)}

    @property
    def before(self) -> Figures | None:
        """The total of the same number of days before the period."""
        if self.period is None:
            return None
        sums = between(self._whole, *self.period.before()).aggregate(*_SUMS)
        return Figures(*(number or 0 for number in sums.values()))

    def by_facet(self, *facets: Facet) -> dict[Facet, list[Line]]:
        """The lines of these facets."""
        found: dict[Facet, dict[str, list[Figures]]] = {facet: defaultdict(list) for facet in facets}
        for rows in self._sources():
            sums = rows.filter(facet__in=facets).values_list("facet", "value").annotate(*_SUMS)
            for facet, value, *numbers in sums:
                found[Facet(facet)][value].append(Figures(*numbers))
        return {facet: lines_of(values) for facet, values in found.items()}

    def by_campaign(self, limit: int) -> dict[int, Figures]:
        """The figures of the `limit` campaigns with the most messages, largest first, without deleted ones."""
        rows = self.tallies.filter(facet=Facet.WHOLE, campaign__in=Campaign.objects.visible())
        if self.period is not None:
            rows = between(rows, self.period.since, self.period.until)
        ended = reduce(operator.add, (F(f"{name}__sum") for name in ENDED))
        found = rows.values_list("campaign").annotate(*_SUMS).annotate(total=ended).order_by("-total", "-campaign")
        return {campaign: Figures(*numbers) for campaign, *numbers, _total in found[:limit]}

    @property
    def _whole(self) -> Rows:
        rows: Rows = self.tallies if self.totals is None else self.totals
        return rows.filter(facet=Facet.WHOLE)

    def _sources(self) -> Iterator[Rows]:
        """The sources for facets: totals for whole days (UTC), tallies for the hours before and after."""
        if self.period is None:
            yield self.tallies if self.totals is None else self.totals
            return
        since, until = self.period.since.astimezone(UTC), self.period.until.astimezone(UTC)
        first, last = _midnight(since + _DAY - _MICROSECOND), _midnight(until)
        if self.totals is None or first >= last:
            yield between(self.tallies, since, until)
            return
        yield between(self.totals, first, last)
        if since < first:
            yield between(self.tallies, since, first)
        if last < until:
            yield between(self.tallies, last, until)


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)
