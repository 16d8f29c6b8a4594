"""The report pages: outcomes of messages in a period, for the user's campaigns, all, or one; and exports."""

from typing import Any, Final

from django.contrib.auth.decorators import login_required
from django.forms import Form
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from campaigns.models import Campaign, Run, RunQuerySet
from campaigns.pages.progress import tally
from campaigns.states import OPEN
from project.http.client import UserRequest
from project.http.lists import check_understood
from reports import exports
from reports.analytics import charts
from reports.analytics.breakdown import Figures, Line, Scope, sum_of
from reports.analytics.costs import COST_BREAKDOWNS, CostBreakdown, CostLine, Costs, total_of
from reports.analytics.facets import BREAKDOWNS
from reports.analytics.periods import ALL, ALL_TIME, CHOICES, DEFAULT, Period, PeriodForm
from reports.analytics.tallies import stale
from reports.analytics.wording import cost_headline, headline, line_words
from reports.dashboard import figures
from reports.models import Facet

_CAMPAIGNS_SHOWN: Final = 10
_LINES_SHOWN: Final = 8
_MAX_DAYS_DRAWN: Final = 92


@require_safe
@login_required
def reports(request: UserRequest) -> HttpResponse:
    """The report on the user's own campaigns, or on all, with each campaign in the period."""
    context = _context(request, Run.objects.filter(campaign__in=figures.reported(request.user)), DEFAULT)
    found = context["scope"].by_campaign(_CAMPAIGNS_SHOWN + 1)
    listed = Campaign.objects.select_related("owner").in_bulk(list(found)[:_CAMPAIGNS_SHOWN])
    costs = context["scope"].costs.by_campaign(listed) if context["costs"] else {}
    context |= {
        "choices": CHOICES,
        "campaigns": [
            (listed[pk], row, tally(row.by_status), costs.get(pk)) for pk, row in found.items() if pk in listed
        ],
        "more_campaigns": len(found) > len(listed),
        "has_campaigns": bool(found) or figures.reported(request.user).exists(),
    }
    return _render(request, "reports/reports.html", context)


@require_safe
@login_required
def campaign_report(request: UserRequest, pk: int) -> HttpResponse:
    """The report on one campaign, by default for all time."""
    campaign = _campaign(request, pk)
    context = _context(request, Run.objects.filter(campaign=campaign), ALL, campaign)
    context |= {"campaign": campaign, "choices": {ALL: ALL_TIME, **CHOICES}}
    return _render(request, "reports/campaign.html", context)


@require_safe
@login_required
def report_export(request: UserRequest, what: str, kind: str) -> StreamingHttpResponse:
    """Export campaigns with their figures, or a breakdown of the report."""
    check_understood(PeriodForm(request.GET))
    if what == "campaigns":
        return exports.campaigns_file(request.user, kind, PeriodForm(request.GET).read(default=DEFAULT)[1])
    return exports.breakdown_file(what, kind, what, Scope.of(request.user, _period(request, what, DEFAULT)))


@require_safe
@login_required
def campaign_export(request: UserRequest, pk: int, what: str, kind: str) -> StreamingHttpResponse:
    """Export a campaign's messages, or a breakdown of its report, for its creator and administrators."""
    campaign = _campaign(request, pk)
    check_understood(Form(request.GET) if what == "messages" else PeriodForm(request.GET))
    if what == "messages":
        return exports.messages_file(campaign, kind)
    scope = Scope.of(request.user, _period(request, what, ALL), campaign)
    return exports.breakdown_file(f"campaign-{pk}-{what}", kind, what, scope)


def _period(request: UserRequest, what: str, default: str) -> Period | None:
    """The period of an export; 404 if there is no such export."""
    if what not in exports.BREAKDOWN_ITEMS:
        raise Http404
    return PeriodForm(request.GET).read(default=default)[1]


def _campaign(request: UserRequest, pk: int) -> Campaign:
    return get_object_or_404(figures.reported(request.user).visible(), pk=pk)


def _context(request: UserRequest, runs: RunQuerySet, default: str, campaign: Campaign | None = None) -> dict[str, Any]:
    """The context of both reports; `runs` are those that the user may see, or the campaign's."""
    form = PeriodForm(request.GET)
    choice, period = form.read(default=default)
    scope = Scope.of(request.user, period, campaign)
    days = scope.by_day()
    whole = sum_of(days.values())
    lines = scope.by_facet(*BREAKDOWNS)
    counters = runs.figures()
    costs = _costs(scope.costs)
    return {
        "form": form,
        "choice": choice,
        "scope": scope,
        "span": period,
        "days": list(days),
        "whole": whole,
        "meter": tally(whole.by_status),
        "headline": headline(whole, scope.before),
        "by_day": charts.figures_by_day(days) if 1 < len(days) <= _MAX_DAYS_DRAWN else None,
        "by_week": charts.figures_by_week(days) if len(days) > _MAX_DAYS_DRAWN else None,
        "by_hour": charts.figures_by_hour(scope.by_hour()),
        "facets": [
            _facet(facet, lines[facet], whole)
            for facet, breakdown in BREAKDOWNS.items()
            if len(lines[facet]) >= breakdown.least
        ],
        "waiting": sum(counters[status] for status in OPEN),
        "costs": costs,
        "breakdowns": exports.items(costs=costs is not None),
        "counting": stale().filter(pk__in=runs.values("pk")).exists(),
    }


def _facet(facet: Facet, lines: list[Line], whole: Figures) -> dict[str, Any]:
    """A table: the label, figures and bar of each line."""
    highest = max(lines[0].figures.total, 1)
    rows = [
        (line_words(facet, line.value), line.figures, tally(line.figures.by_status, full_at=highest)) for line in lines
    ]
    return {
        "facet": facet,
        "shown": BREAKDOWNS[facet],
        "template": "reports/facet_lines.html",
        "first": rows[:_LINES_SHOWN],
        "rest": rows[_LINES_SHOWN:],
        "whole": whole,
    }


def _costs(costs: Costs) -> dict[str, Any] | None:
    """The cost of the period and its tables; None if nothing had a price."""
    lines = {what: costs.lines(breakdown) for what, breakdown in COST_BREAKDOWNS.items()} if costs.exist else {}
    if not any(lines.values()):
        return None
    total = total_of(next(iter(lines.values())))
    tables = [_cost_table(COST_BREAKDOWNS[what], rows) for what, rows in lines.items()]
    return {"total": total, "headline": cost_headline(total, costs.before), "tables": tables}


def _cost_table(breakdown: CostBreakdown, lines: list[CostLine]) -> dict[str, Any]:
    """A table: the label and figures of each line."""
    rows = [(breakdown.words(line.value), line.figures) for line in lines]
    return {
        "shown": breakdown,
        "template": "reports/cost_lines.html",
        "first": rows[:_LINES_SHOWN],
        "rest": rows[_LINES_SHOWN:],
    }


def _render(request: UserRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """Render the page, or the part that depends on the period."""
    part = "#report" if request.htmx and not request.htmx.history_restore_request else ""
    response = render(request, f"{template}{part}", context)
    patch_vary_headers(response, ["HX-Request", "HX-History-Restore-Request"])
    return response
