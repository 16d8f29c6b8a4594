"""The start page."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from django.contrib.auth.decorators import login_required
from django.db.models import Sum
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.utils.timezone import now
from django.views.decorators.http import require_safe

from accounts.models import User
from campaigns.models import Run
from campaigns.progress import progress_of_runs
from campaigns.states import CampaignStatus
from directory.models import Contact
from project.http import Signed
from reports import figures
from reports.pictures import Charts, by_day, by_hour

_UNDER_WAY: Final = (CampaignStatus.RUNNING, CampaignStatus.PAUSED)
_SHOWN: Final = 8
_LATELY: Final = timedelta(days=7)
_PERIODS: Final = (1, 7, 30)
_CHART_DAYS: Final = 30


@require_safe
@login_required
def home(request: Signed) -> HttpResponse:
    """What runs now, what comes next, what went wrong, and the figures of these days."""
    part = "#now" if request.htmx else ""
    context = _under_way(request.user)
    asked = request.GET.get("days", "")
    days = int(asked) if asked in map(str, _PERIODS) else _CHART_DAYS
    if not part:
        context |= {
            "upcoming": figures.reported(request.user)
            .visible()
            .filter(status=CampaignStatus.SCHEDULED)
            .order_by("starts_at")[:_SHOWN],
            "troubled": _troubled(request.user),
            "periods": zip(_PERIODS, figures.periods(request.user, _PERIODS), strict=True),
            "days": days,
            "charts": _charts(request.user, days),
            "has_contacts": Contact.objects.exists(),
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
        "has_campaigns": bool(running) or figures.reported(user).visible().exists(),
    }


def _troubled(user: User) -> Sequence[Mapping[str, Any]]:
    """Campaigns of the last days of which messages failed, the latest first."""
    lately = Run.objects.filter(failed__gt=0, started_at__gt=now() - _LATELY)
    mine = lately.filter(campaign__in=figures.reported(user).visible())
    rows = mine.values("campaign_id", "campaign__name").annotate(number=Sum("failed"))
    return list(rows.order_by("-campaign_id")[:_SHOWN])


def _charts(user: User, days: int) -> Charts:
    """What was sent and failed on each of the last days, or of one day in its hours."""
    if days == 1:
        return by_hour(figures.by_hour(user))
    return by_day((day.day, day.sent, day.failed) for day in figures.by_day(user, days))
