"""The start page and the reports."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from django.contrib.auth.decorators import login_required
from django.db.models import Sum
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.cache import patch_vary_headers
from django.utils.formats import date_format
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.models import User
from campaigns.charts import Chart, Point, chart_of
from campaigns.forms import AddressForm
from campaigns.models import Run
from campaigns.progress import progress_of_runs, tally
from campaigns.states import CampaignStatus
from directory.models import Contact
from project.http import Signed, keyset
from reports import exports, figures

_UNDER_WAY: Final = (CampaignStatus.RUNNING, CampaignStatus.PAUSED)
_SHOWN: Final = 8
_LATELY: Final = timedelta(days=7)
_PERIODS: Final = (1, 7, 30)
_CHART_DAYS: Final = 30
_WIDE, _NARROW = 960, 340
_PAGE: Final = 30


@require_safe
@login_required
def home(request: Signed) -> HttpResponse:
    """What runs now, what comes next, what went wrong, and the figures of these days."""
    part = "#now" if request.htmx else ""
    context = _under_way(request.user)
    if not part:
        context |= {
            "upcoming": figures.reported(request.user)
            .visible()
            .filter(status=CampaignStatus.SCHEDULED)
            .order_by("starts_at")[:_SHOWN],
            "troubled": _troubled(request.user),
            "periods": figures.periods(request.user, _PERIODS),
            "days": _CHART_DAYS,
            "charts": _charts(request.user),
            "has_contacts": Contact.objects.exists(),
            "has_campaigns": figures.reported(request.user).visible().exists(),
        }
    response = render(request, f"reports/home.html{part}", context)
    patch_vary_headers(response, ["HX-Request"])
    return response


def _under_way(user: User) -> dict[str, Any]:
    """The part of the page that is looked at again and again while something runs."""
    rows = figures.reported(user).visible().filter(status__in=_UNDER_WAY).prefetch_related("runs").order_by("-pk")
    running = [(row, progress_of_runs(row.runs.all())) for row in rows[:_SHOWN]]
    return {
        "running": running,
        "live": any(row.status == CampaignStatus.RUNNING for row, _progress in running),
    }


def _troubled(user: User) -> Sequence[Mapping[str, Any]]:
    """Campaigns of the last days of which messages failed, the latest first."""
    lately = Run.objects.filter(failed__gt=0, started_at__gt=now() - _LATELY)
    mine = lately.filter(campaign__in=figures.reported(user).visible())
    rows = mine.values("campaign_id", "campaign__name").annotate(number=Sum("failed"))
    return list(rows.order_by("-campaign_id")[:_SHOWN])


@require_safe
@login_required
def reports(request: Signed) -> HttpResponse:
    """All figures by state, by day and by campaign."""
    rows = figures.reported(request.user).visible().select_related("owner")
    page = keyset(rows, AddressForm(request.GET).read()["cursor"], _PAGE)
    context = {
        "groups": tally(figures.messages_by_status(request.user)),
        "campaigns": [
            (status, CampaignStatus(status).label, number)
            for status, number in figures.campaigns_by_status(request.user).items()
            if number
        ],
        "days": _CHART_DAYS,
        "charts": _charts(request.user),
        "page": page,
        "rows": [(row, tally(row.by_status)) for row in figures.figures_of(page.items)],
    }
    return render(request, "reports/reports.html", context)


@require_safe
@login_required
def report_export(request: Signed, kind: str, what: str) -> StreamingHttpResponse:
    """Campaigns with their figures, or the figures of each day, as a file."""
    return {"campaigns": exports.campaigns_file, "days": exports.days_file}[what](request.user, kind)


@require_safe
@login_required
def messages_export(request: Signed, pk: int, kind: str) -> StreamingHttpResponse:
    """The messages of one campaign as a file, for its creator and administrators."""
    return exports.messages_file(get_object_or_404(figures.reported(request.user).visible(), pk=pk), kind)


def _charts(user: User) -> dict[str, Chart | None]:
    """The same days drawn for a wide screen and for a phone, so that the words in it stay readable."""
    points = []
    for day in figures.by_day(user, _CHART_DAYS):
        label = date_format(day.day, _("j M"))
        title = _("%(day)s: %(sent)d sent, %(failed)d failed") % {"day": label, "sent": day.sent, "failed": day.failed}
        points.append(Point(label, title, day.sent, day.failed))
    return {"wide": chart_of(points, _WIDE), "narrow": chart_of(points, _NARROW)}
