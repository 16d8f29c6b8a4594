"""The reports: what became of messages in a period, of one's own campaigns, of all, or of one; and as files."""

from typing import Any, Final

from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from campaigns.models import Campaign, Run, RunQuerySet
from campaigns.progress import tally
from project.http import Signed
from reports import breakdown, exports, figures, pictures
from reports.breakdown import TOLD_APART, Figures
from reports.models import Facet, Tally
from reports.periods import ALL, CHOICES, DEFAULT, EVER, Period, PeriodForm
from reports.tallies import stale
from reports.wording import headline, line_words

_CAMPAIGNS_SHOWN: Final = 10
_LINES_SHOWN: Final = 8


@require_safe
@login_required
def reports(request: Signed) -> HttpResponse:
    """The figures of one's own campaigns, or of all, and of each campaign in the period."""
    rows, runs = breakdown.tallies_of(request.user), Run.objects.filter(campaign__in=figures.reported(request.user))
    context = _context(request, rows, runs, DEFAULT)
    found = breakdown.by_campaign(breakdown.within(rows, context["span"]), _CAMPAIGNS_SHOWN + 1)
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
    rows = breakdown.tallies_of(request.user, campaign)
    context = _context(request, rows, Run.objects.filter(campaign=campaign), ALL)
    context |= {"campaign": campaign, "choices": {ALL: EVER, **CHOICES}}
    return _shown(request, "reports/campaign.html", context)


@require_safe
@login_required
def report_export(request: Signed, what: str, kind: str) -> StreamingHttpResponse:
    """Campaigns with their figures, or one of the breakdowns that the report shows, as a file."""
    if what == "campaigns":
        return exports.campaigns_file(request.user, kind)
    return exports.breakdown_file(what, kind, what, breakdown.tallies_of(request.user), _asked(request, what, DEFAULT))


@require_safe
@login_required
def campaign_export(request: Signed, pk: int, what: str, kind: str) -> StreamingHttpResponse:
    """One campaign's messages, or one of the breakdowns of its report, for its creator and administrators."""
    campaign = _campaign(request, pk)
    if what == "messages":
        return exports.messages_file(campaign, kind)
    rows = breakdown.tallies_of(request.user, campaign)
    return exports.breakdown_file(f"campaign-{pk}-{what}", kind, what, rows, _asked(request, what, ALL))


def _asked(request: Signed, what: str, default: str) -> Period | None:
    """The period that a file is to tell of, if there is such a file."""
    if what not in exports.BREAKDOWNS:
        raise Http404
    return PeriodForm(request.GET).read(default=default)[1]


def _campaign(request: Signed, pk: int) -> Campaign:
    return get_object_or_404(figures.reported(request.user).visible(), pk=pk)


def _context(request: Signed, rows: QuerySet[Tally], runs: RunQuerySet, default: str) -> dict[str, Any]:
    """All that both reports show of these tallies, which are those of these runs."""
    form = PeriodForm(request.GET)
    choice, period = form.read(default=default)
    shown = breakdown.within(rows, period)
    hours = breakdown.hours(shown)
    days = hours.by_day(period.days if period else None)
    lines = breakdown.by_facet(shown, *TOLD_APART)
    return {
        "form": form,
        "choice": choice,
        "span": period,
        "days": list(days),
        "whole": hours.whole,
        "meter": tally(hours.whole.by_status),
        "headline": headline(hours.whole, breakdown.before(rows, period) if period else None),
        "by_day": pictures.figures_by_day(days) if len(days) > 1 else None,
        "by_hour": pictures.figures_by_hour(hours.by_hour()),
        "facets": [_facet(facet, lines[facet], hours.whole) for facet in TOLD_APART if lines[facet]],
        "waiting": sum(runs.figures()[status] for status in ("pending", "sending")),
        "breakdowns": exports.BREAKDOWNS,
        "counting": stale().filter(pk__in=runs.values("pk")).exists(),
    }


def _facet(facet: Facet, lines: list[breakdown.Line], whole: Figures) -> dict[str, Any]:
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
