"""`/reports` of the JSON API."""

from datetime import date
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja import Field, Query, Router, Schema

from campaigns.api.prices import Day
from campaigns.api.shared import ERRORS, own_campaign
from campaigns.models import Campaign
from project.http.body import AmountOut, Error
from project.http.client import UserRequest
from project.http.errors import Invalid
from reports.analytics.breakdown import Figures, Line, Scope, sum_of
from reports.analytics.costs import COST_BREAKDOWNS, Cost, Costs, total_of
from reports.analytics.facets import BREAKDOWNS
from reports.analytics.periods import ALL, CUSTOM, DEFAULT, Period, PeriodForm

router = Router(tags=["reports"])

_MAX_CAMPAIGNS: Final = 100


class ReportQuery(Schema):
    """The period, and one campaign or all that the user may see."""

    period: Literal["today", "7", "30", "90", "own", "all"] = Field(
        DEFAULT, description="The last days including today, `own` from `first` to `last`, or `all`"
    )
    first: Day | None = Field(None, description="First day, for `own`")
    last: Day | None = Field(None, description="Last day, for `own`; at most a year after the first")
    campaign: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = Field(None, description="Id of a single campaign")


class FiguresOut(Schema):
    """Numbers of messages that ended, by their states; and what was done for them."""

    messages: int = Field(description="Number of messages that ended, the sum of the seven states")
    accepted: int = Field(description="Number of messages that a gateway accepted: sent, delivered or undelivered")
    sent: int = Field(description="Accepted, without a receipt")
    delivered: int = Field(description="Accepted, with a receipt of the delivery")
    undelivered: int = Field(description="Accepted, with a receipt of a failure")
    failed: int = Field(description="Refused, or given up")
    expired: int = Field(description="Not sent before the end")
    cancelled: int = Field(description="Cancelled")
    unknown: int = Field(description="May or may not have been accepted")
    parts: int = Field(description="Number of parts of accepted messages")
    attempts: int
    failed_attempts: int = Field(description="Number of failed attempts")


class DayOut(FiguresOut):
    """The figures of a day."""

    day: date = Field(description="In the user's time zone")


class LineOut(FiguresOut):
    """The figures of one value."""

    value: str = Field(description="The value; empty: none", examples=["RU"])


class CampaignLineOut(FiguresOut):
    """The figures of one campaign."""

    campaign: int = Field(description="Id of the campaign")
    name: str
    cost: AmountOut = Field(description="What it has cost", examples=["12.50"])


class CostFigures(Schema):
    """Messages with a price, and what they cost."""

    messages: int = Field(description="Number of messages with a price")
    parts: int = Field(description="Number of their parts")
    cost: AmountOut = Field(description="The sum of their prices, exact", examples=["12.50"])


class CostLineOut(CostFigures):
    """The cost of one value."""

    value: str = Field(description="Country, gateway or day", examples=["KZ"])


class ReportCosts(CostFigures):
    """The cost of the period, and its parts. Each list adds up to it."""

    currency: str = Field(description="ISO 4217", examples=["RUB"])
    before: CostFigures | None = Field(description="The same number of days before; null for all time")
    countries: list[CostLineOut] = Field(description="By country, the largest first")
    gateways: list[CostLineOut] = Field(description="By gateway, the largest first")
    days: list[CostLineOut] = Field(description="By day, the latest first")


class ReportOut(Schema):
    """What became of messages in a period. A message counts when it ended."""

    first: date | None = Field(description="First day of the period; null for all time")
    last: date | None = Field(description="Last day of the period; null for all time")
    total: FiguresOut = Field(description="All messages that ended in the period")
    before: FiguresOut | None = Field(description="The same number of days before; null for all time")
    days: list[DayOut] = Field(description="By day, in order")
    hours: list[FiguresOut] = Field(description="By hour of the day, 24 items")
    facets: dict[str, list[LineOut]] = Field(
        description="By `operators`, `countries`, `timezones`, `tags` and `reasons`, the largest first. A contact "
        "counts under each of its tags"
    )
    costs: ReportCosts = Field(description="What the messages of the period cost")
    campaigns: list[CampaignLineOut] = Field(
        description="The 100 campaigns with the most messages; empty for a single campaign"
    )


@router.get("", response={200: ReportOut, ERRORS: Error}, summary="Report")
def read_report(request: UserRequest, query: Query[ReportQuery]) -> dict[str, Any]:
    """Own campaigns, for administrators all, or one; with the days before for comparison.

    Days are those of the user's time zone. Figures follow the messages within a minute.
    """
    campaign = None if query.campaign is None else own_campaign(request, query.campaign)
    with timezone.override(ZoneInfo(request.user.timezone)):
        return _report(Scope.of(request.user, _period(query), campaign), campaign)


def _period(query: ReportQuery) -> Period | None:
    """Read the period by the rules of the page; days without effect are refused."""
    if query.period != CUSTOM and (query.first or query.last):
        raise Invalid(["query", "period"], _("Use “own” with first and last."))
    form = PeriodForm(query.dict(exclude={"campaign"}))
    if not form.is_valid():
        name, messages = next(iter(form.errors.items()))
        raise Invalid(["query", name], " ".join(map(str, messages)))
    if query.period == ALL:
        return None
    return form.read()[1]


def _report(scope: Scope, campaign: Campaign | None) -> dict[str, Any]:
    days, facets = scope.by_day(), scope.by_facet(*BREAKDOWNS)
    period, before = scope.period, scope.before
    return {
        "first": period and period.first,
        "last": period and period.last,
        "total": _figures_out(sum_of([Figures(), *days.values()])),
        "before": before and _figures_out(before),
        "days": [{"day": day, **_figures_out(row)} for day, row in days.items()],
        "hours": [_figures_out(row) for row in scope.by_hour()],
        "facets": {shown.export: _lines(facets[facet]) for facet, shown in BREAKDOWNS.items()},
        "costs": _costs_out(scope.costs),
        "campaigns": [] if campaign else _campaigns(scope),
    }


def _figures_out(row: Figures) -> dict[str, int]:
    values = row._asdict()
    return {"messages": row.total, "accepted": row.accepted, "failed_attempts": values.pop("tries"), **values}


def _lines(lines: list[Line]) -> list[dict[str, Any]]:
    return [{"value": line.value, **_figures_out(line.figures)} for line in lines]


def _costs_out(costs: Costs) -> dict[str, Any]:
    lines = {name: costs.lines(COST_BREAKDOWNS[f"cost-{name}"]) for name in ("countries", "gateways", "days")}
    total, before = total_of(lines["countries"]) if lines["countries"] else Cost(), costs.before
    listed = {name: [{"value": str(value), **row._asdict()} for value, row in found] for name, found in lines.items()}
    return {**total._asdict(), "currency": settings.CURRENCY, "before": before and before._asdict(), **listed}


def _campaigns(scope: Scope) -> list[dict[str, Any]]:
    found = scope.by_campaign(_MAX_CAMPAIGNS)
    names = dict(Campaign.objects.filter(pk__in=found).values_list("pk", "name"))
    costs = scope.costs.by_campaign(found.keys())
    return [
        {"campaign": pk, "name": names[pk], "cost": costs.get(pk, 0), **_figures_out(row)}
        for pk, row in found.items()
        if pk in names
    ]
