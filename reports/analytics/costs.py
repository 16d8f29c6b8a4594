"""The cost of messages in a period, in total and broken down by day, country, gateway and campaign.

A message counts in the hour in which a gateway accepted it or may have accepted it. All figures come from the costs of
runs, so each breakdown adds up to the total. Amounts are micros, see `project.core.money`.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from django.db.models import Func, QuerySet, Sum
from django.db.models.functions import TruncDate
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import User
from campaigns.models import Campaign, RunCost
from directory.countries import country_name
from reports.analytics.periods import Period, between


class Cost(NamedTuple):
    """Messages with a price, their parts, and the sum of their prices in micros."""

    messages: int = 0
    parts: int = 0
    cost: int = 0


class CostLine(NamedTuple):
    """The cost of one value of a breakdown."""

    value: Any
    figures: Cost


class CostBreakdown(NamedTuple):
    """A breakdown of costs: `key` gives the value of a row, `words` its label.

    `columns` are the names of the value, and of its label if files have one; `label` is the value's name on pages.
    """

    key: str | Func
    columns: tuple[str, ...]
    label: str | Promise
    title: str | Promise
    words: Callable[[Any], str]
    order: Callable[[CostLine], Any]


_SUMS: Final = tuple(map(Sum, Cost._fields))


def _largest_first(line: CostLine) -> Any:
    return -line.figures.cost, -line.figures.messages, line.value


def _latest_first(line: CostLine) -> Any:
    return -line.value.toordinal()


def _day_words(day: Any) -> str:
    return date_format(day, _("j M Y"))


def _country_words(code: str) -> str:
    return country_name(code) if code else _("No country")


COST_BREAKDOWNS: Final = {
    "cost-countries": CostBreakdown(
        "country",
        ("country", "name"),
        gettext_lazy("Country"),
        gettext_lazy("Cost by country"),
        _country_words,
        _largest_first,
    ),
    "cost-gateways": CostBreakdown(
        "gateway", ("gateway",), gettext_lazy("Gateway"), gettext_lazy("Cost by gateway"), str, _largest_first
    ),
    "cost-days": CostBreakdown(
        TruncDate("hour"), ("day",), gettext_lazy("Day"), gettext_lazy("Cost by day"), _day_words, _latest_first
    ),
}
"""By their names in addresses. Adding one here shows it on pages and in exports."""


@dataclass(frozen=True)
class Costs:
    """The costs of some runs in a period, or of all time."""

    rows: QuerySet[RunCost]
    period: Period | None

    @classmethod
    def of(cls, user: User, period: Period | None, campaign: Campaign | None = None) -> "Costs":
        """The costs for a user: of one campaign, of all that the user sends, or for an administrator all."""
        rows = RunCost.objects.order_by()
        if campaign is not None:
            return cls(rows.filter(run__campaign=campaign), period)
        return cls(rows if user.is_staff else rows.filter(run__campaign__owner=user), period)

    @property
    def exist(self) -> bool:
        """Whether anything had a price; most installations have none, and need no other query."""
        return self._current.exists()

    def lines(self, breakdown: CostBreakdown) -> list[CostLine]:
        """The lines of a breakdown, without those that cost nothing."""
        sums = self._current.values_list(breakdown.key).annotate(*_SUMS)
        lines = [CostLine(value, Cost(*map(int, numbers))) for value, *numbers in sums if any(numbers)]
        return sorted(lines, key=breakdown.order)

    def by_campaign(self, campaigns: Collection[int]) -> dict[int, int]:
        """What these campaigns have cost; those without a cost are left out."""
        rows = self._current.filter(run__campaign__in=campaigns).values_list("run__campaign")
        sums = rows.annotate(Sum("messages"), Sum("cost"))
        return {pk: int(cost) for pk, messages, cost in sums if messages}

    @property
    def before(self) -> Cost | None:
        """The total of the same number of days before the period."""
        if self.period is None:
            return None
        sums = between(self.rows, *self.period.before()).aggregate(*_SUMS)
        return Cost(*(int(number or 0) for number in sums.values()))

    @property
    def _current(self) -> QuerySet[RunCost]:
        return self.rows if self.period is None else between(self.rows, self.period.since, self.period.until)


def total_of(lines: Iterable[CostLine]) -> Cost:
    """The sum of all lines of a breakdown."""
    return Cost(*map(sum, zip(*(line.figures for line in lines), strict=True)))
