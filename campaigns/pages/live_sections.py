"""The parts of a campaign's page that refresh while it runs."""

from typing import Any, Final

from campaigns.gateways import registry
from campaigns.models import Campaign, Message, Run, RunMinute
from campaigns.pages import charts
from campaigns.pages.budgets import spending_of
from campaigns.pages.message_list import failures_of, messages_page
from campaigns.pages.progress import progress_of, progress_of_runs
from campaigns.states import SUCCESS_PATH, CampaignStatus, Repeat
from campaigns.statistics import Statistics, campaign_statistics
from project.core.clock import now
from project.http.lists import OrderedPage

PARTS: Final = ("progress", "chart", "why", "rows")
"""The parts of a campaign's page that refresh themselves, by the ids of their elements."""
MOVING: Final = (CampaignStatus.RUNNING, CampaignStatus.PAUSED)
# Seconds between two refreshes.
_POLL: Final[dict[str, int]] = {CampaignStatus.SCHEDULED: 5, CampaignStatus.RUNNING: 2, CampaignStatus.PAUSED: 5}
_POLL_SETTLING: Final = 2
_MINUTES_KEPT: Final = 24 * 60
_RUNS_SHOWN: Final = 100


def parts_of(campaign: Campaign, selection: dict[str, Any], *names: str) -> dict[str, Any]:
    """The context of these parts of the page. They share the runs, which are read once, latest first."""
    statistics = campaign_statistics(campaign) if "progress" in names else None
    runs = statistics.runs if statistics else list(campaign.runs.order_by("-occurrence"))
    shown = [run for run in runs if selection["run"] in (None, run.pk)][:1]
    context: dict[str, Any] = {"runs": runs[:_RUNS_SHOWN], "poll": _poll(campaign, runs)}
    if statistics:
        context |= _figures(campaign, statistics, shown)
    if "chart" in names:
        context |= _chart(campaign, shown)
    if "why" in names:
        context |= _failures(campaign, runs[:_RUNS_SHOWN])
    if "rows" in names:
        context |= _rows(campaign, runs, shown, selection)
    return context


def _figures(campaign: Campaign, statistics: Statistics, shown: list[Run]) -> dict[str, Any]:
    """The figures from counters; the tabs have those of the run whose messages are shown."""
    progress = progress_of(statistics)
    repeated = campaign.repeat != Repeat.ONCE
    return {
        "statistics": statistics,
        "progress": progress,
        "spending": spending_of(campaign, statistics),
        "tabs": progress_of_runs(shown) if repeated else progress,
        "run": shown[0] if repeated and shown else None,
    }


def _chart(campaign: Campaign, shown: list[Run]) -> dict[str, Any]:
    """The chart; for a repeated campaign that of the run whose messages are shown."""
    minutes = RunMinute.objects.filter(run__in=shown).order_by("-minute")[:_MINUTES_KEPT]
    until = now() if campaign.status == CampaignStatus.RUNNING else None
    return {"chart": charts.per_minute(list(minutes)[::-1], until=until)}


def _failures(campaign: Campaign, runs: list[Run]) -> dict[str, Any]:
    """Why messages and attempts failed, and how unknown messages can be resolved."""
    failures = failures_of(runs)
    return {
        "failures": failures,
        "attempts": sum(run.attempts for run in runs),
        "working": any(run.resolution for run in runs),
        "idempotent": failures.unknown > 0 and registry.all_gateways_idempotent(campaign),
    }


def _rows(campaign: Campaign, runs: list[Run], shown: list[Run], selection: dict[str, Any]) -> dict[str, Any]:
    """A page of messages. Lists of successes do not refresh: they may be long, and have no index."""
    filters = {name: selection[name] for name in ("status", "q", "cursor")}
    page = messages_page(shown[0], **filters) if shown else OrderedPage[Message]([], None)
    moving = campaign.status in MOVING or any(run.open for run in runs)
    return {"page": page, "live": moving and not filters["cursor"] and filters["status"] not in SUCCESS_PATH}


def _poll(campaign: Campaign, runs: list[Run]) -> int | None:
    """Seconds until the next refresh; short after a launch."""
    if campaign.status == CampaignStatus.SCHEDULED and campaign.starts_at <= now():
        return 1
    # Requests in flight at the end are still being recorded.
    settling = any(run.open or run.resolution for run in runs)
    return _POLL.get(campaign.status) or (_POLL_SETTLING if settling else None)
