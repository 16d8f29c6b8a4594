"""The home page."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from django.contrib.auth.decorators import login_required
from django.db.models import Sum
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from accounts.models import User
from campaigns.models import Run
from campaigns.pages.progress import progress_of_runs
from campaigns.states import CampaignStatus
from directory.models import Contact
from project.core.clock import now
from project.http.client import UserRequest
from reports.analytics.charts import Charts, by_day, by_hour
from reports.dashboard import figures
from reports.dashboard.budgets import budget_problems

_ACTIVE: Final = (CampaignStatus.RUNNING, CampaignStatus.PAUSED)
_SHOWN: Final = 8
_RECENT: Final = timedelta(days=7)
_PERIODS: Final = (1, 7, 30)
_CHART_DAYS: Final = 30


@require_safe
@login_required
def home(request: UserRequest) -> HttpResponse:
    """Running and upcoming campaigns, recent problems, and current figures."""
    part = "#now" if request.htmx else ""
    context = _active_campaigns(request.user)
    value = request.GET.get("days", "")
    days = int(value) if value in map(str, _PERIODS) else _CHART_DAYS
    if not part:
        context |= {
            "upcoming": figures.reported(request.user)
            .visible()
            .filter(status=CampaignStatus.SCHEDULED)
            .order_by("starts_at")[:_SHOWN],
            "problems": _problems(request.user),
            "budgets": budget_problems(request.user),
            "periods": zip(_PERIODS, figures.periods(request.user, _PERIODS), strict=True),
            "days": days,
            "charts": _charts(request.user, days),
            "has_contacts": Contact.objects.exists(),
        }
    response = render(request, f"reports/home.html{part}", context)
    patch_vary_headers(response, ["HX-Request"])
    return response


def _active_campaigns(user: User) -> dict[str, Any]:
    """The part of the page that refreshes itself while a campaign runs."""
    rows = figures.reported(user).visible().filter(status__in=_ACTIVE).prefetch_related("runs").order_by("-pk")
    running = [(row, progress_of_runs(row.runs.all())) for row in rows[:_SHOWN]]
    return {
        "running": running,
        "live": any(row.status == CampaignStatus.RUNNING for row, _progress in running),
        "has_campaigns": bool(running) or figures.reported(user).visible().exists(),
    }


def _problems(user: User) -> Sequence[Mapping[str, Any]]:
    """Recent campaigns with failed messages, latest first."""
    recent = Run.objects.filter(failed__gt=0, started_at__gt=now() - _RECENT)
    visible = recent.filter(campaign__in=figures.reported(user).visible())
    rows = visible.values("campaign_id", "campaign__name").annotate(number=Sum("failed"))
    return list(rows.order_by("-campaign_id")[:_SHOWN])


def _charts(user: User, days: int) -> Charts:
    """Sent and failed messages by day, or by hour for a single day."""
    if days == 1:
        return by_hour(figures.by_hour(user))
    return by_day((day.day, day.sent, day.failed) for day in figures.by_day(user, days))
