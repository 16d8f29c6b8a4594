"""The reports: what became of messages in a period, of one's own campaigns, of all, or of one; and as files."""

from typing import Any, Final

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from campaigns.models import Campaign, Run, RunQuerySet
from campaigns.progress import tally
from campaigns.states import OPEN
from project.http import Signed
from reports import exports, figures, pictures
from reports.breakdown import TOLD_APART, Figures, Line, Scope, added
from reports.models import Facet
from reports.periods import ALL, CHOICES, DEFAULT, EVER, Period, PeriodForm
from reports.tallies import stale
from reports.wording import headline, line_words

_CAMPAIGNS_SHOWN: Final = 10
_LINES_SHOWN: Final = 8
_DAYS_DRAWN: Final = 92


@require_safe
@login_required
def reports(request: Signed) -> HttpResponse:
    """The figures of one's own campaigns, or of all, and of each campaign in the period."""
    context = _context(request, Run.objects.filter(campaign__in=figures.reported(request.user)), DEFAULT)
    found = context["scope"].by_campaign(_CAMPAIGNS_SHOWN + 1)
    listed = Campaign.objects.select_related("owner").in_bulk(list(found)[:_CAMPAIGNS_SHOWN])
    context |= {
        "choices": CHOICES,
        "campaigns": [(listed[pk], row, tally(row.by_status)) for pk, row in found.items() if pk in listed],
        "more_campaigns": len(found) > len(listed),
        "has_campaigns": bool(found) or figures.reported(request.user).exists(),
    }
    return _shown(request, "reports/reports.html", context)


@require_safe
@login_required
def campaign_report(request: Signed, pk: int) -> HttpResponse:
    """The same of one campaign, at first over all its time."""
    campaign = _campaign(request, pk)
    context = _context(request, Run.objects.filter(campaign=campaign), ALL, campaign)
    context |= {"campaign": campaign, "choices": {ALL: EVER, **CHOICES}}
    return _shown(request, "reports/campaign.html", context)


@require_safe
@login_required
def report_export(request: Signed, what: str, kind: str) -> StreamingHttpResponse:
    """Campaigns with their figures, or one of the breakdowns that the report shows, as a file."""
    if what == "campaigns":
        return exports.campaigns_file(request.user, kind)
    return exports.breakdown_file(what, kind, what, Scope.of(request.user, _asked(request, what, DEFAULT)))


@require_safe
@login_required
def campaign_export(request: Signed, pk: int, what: str, kind: str) -> StreamingHttpResponse:
    """One campaign's messages, or one of the breakdowns of its report, for its creator and administrators."""
    campaign = _campaign(request, pk)
    if what == "messages":
        return exports.messages_file(campaign, kind)
    scope = Scope.of(request.user, _asked(request, what, ALL), campaign)
    return exports.breakdown_file(f"campaign-{pk}-{what}", kind, what, scope)


def _asked(request: Signed, what: str, default: str) -> Period | None:
    """The period that a file is to tell of, if there is such a file."""
    if what not in exports.BREAKDOWNS:
        raise Http404
    return PeriodForm(request.GET).read(default=default)[1]


def _campaign(request: Signed, pk: int) -> Campaign:
    return get_object_or_404(figures.reported(request.user).visible(), pk=pk)


def _context(request: Signed, runs: RunQuerySet, default: str, campaign: Campaign | None = None) -> dict[str, Any]:
    """All that both reports show of these runs, which are those that the user may see, or the campaign's."""
    form = PeriodForm(request.GET)
    choice, period = form.read(default=default)
    scope = Scope.of(request.user, period, campaign)
    days = scope.by_day()
    whole = added(days.values())
    lines = scope.by_facet(*TOLD_APART)
    counters = runs.figures()
    return {
        "form": form,
        "choice": choice,
        "scope": scope,
        "span": period,
        "days": list(days),
        "whole": whole,
        "meter": tally(whole.by_status),
        "headline": headline(whole, scope.before),
        "by_day": pictures.figures_by_day(days) if 1 < len(days) <= _DAYS_DRAWN else None,
        "by_week": pictures.figures_by_week(days) if len(days) > _DAYS_DRAWN else None,
        "by_hour": pictures.figures_by_hour(scope.by_hour()),
        "facets": [_facet(facet, lines[facet], whole) for facet in TOLD_APART if lines[facet]],
        "waiting": sum(counters[status] for status in OPEN),
        "breakdowns": exports.BREAKDOWNS,
        "counting": stale().filter(pk__in=runs.values("pk")).exists(),
    }


def _facet(facet: Facet, lines: list[Line], whole: Figures) -> dict[str, Any]:
    """A table: each line in words, its figures, and a bar as long as it is large."""
    most = max(lines[0].figures.total, 1)
    told = [(line_words(facet, line.value), line.figures, tally(line.figures.by_status, most=most)) for line in lines]
    return {"facet": facet, "first": told[:_LINES_SHOWN], "rest": told[_LINES_SHOWN:], "whole": whole}


def _shown(request: Signed, template: str, context: dict[str, Any]) -> HttpResponse:
    """The page, or the part that a change of the period changes."""
    part = "#report" if request.htmx and not request.htmx.history_restore_request else ""
    response = render(request, f"{template}{part}", context)
    patch_vary_headers(response, ["HX-Request", "HX-History-Restore-Request"])
    return response
