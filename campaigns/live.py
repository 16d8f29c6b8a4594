"""The parts of a campaign's page that are looked at again while it runs: what each of them shows."""

from typing import Any, Final

from django.utils.timezone import now

from campaigns import charts, connections
from campaigns.models import Campaign, Message, Run, RunMinute
from campaigns.progress import progress_of, progress_of_runs
from campaigns.selection import failures_of, messages_page
from campaigns.states import SMOOTH, CampaignStatus, Repeat
from campaigns.statistics import Statistics, campaign_statistics
from project.lists import Ordered

PARTS: Final = ("progress", "chart", "why", "rows")
"""The parts of a campaign's page that ask for themselves, by the ids of their elements."""
MOVING: Final = (CampaignStatus.RUNNING, CampaignStatus.PAUSED)
# Seconds between two looks at the figures.
_POLL: Final[dict[str, int]] = {CampaignStatus.SCHEDULED: 5, CampaignStatus.RUNNING: 2, CampaignStatus.PAUSED: 5}
_POLL_SETTLING: Final = 2
_MINUTES_KEPT: Final = 24 * 60
_RUNS_SHOWN: Final = 100


def parts_of(campaign: Campaign, wanted: dict[str, Any], *names: str) -> dict[str, Any]:
    """What those parts of the page show. All of them tell of the same runs, which are read once, the latest first."""
    statistics = campaign_statistics(campaign) if "progress" in names else None
    runs = statistics.runs if statistics else list(campaign.runs.order_by("-occurrence"))
    shown = [run for run in runs if wanted["run"] in (None, run.pk)][:1]
    context: dict[str, Any] = {"runs": runs[:_RUNS_SHOWN], "poll": _poll(campaign, runs)}
    if statistics:
        context |= _figures(campaign, statistics, shown)
    if "chart" in names:
        context |= _chart(campaign, shown)
    if "why" in names:
        context |= _why(campaign, runs[:_RUNS_SHOWN])
    if "rows" in names:
        context |= _rows(campaign, runs, shown, wanted)
    return context


def _figures(campaign: Campaign, statistics: Statistics, shown: list[Run]) -> dict[str, Any]:
    """What the counters tell; the tabs tell of the run whose messages are shown."""
    progress = progress_of(statistics)
    repeated = campaign.repeat != Repeat.ONCE
    return {
        "statistics": statistics,
        "progress": progress,
        "tabs": progress_of_runs(shown) if repeated else progress,
        "run": shown[0] if repeated and shown else None,
    }


def _chart(campaign: Campaign, shown: list[Run]) -> dict[str, Any]:
    """Of a repeated campaign the chart is that of the run whose messages are shown."""
    minutes = RunMinute.objects.filter(run__in=shown).order_by("-minute")[:_MINUTES_KEPT]
    until = now() if campaign.status == CampaignStatus.RUNNING else None
    return {"chart": charts.per_minute(list(minutes)[::-1], until=until)}


def _why(campaign: Campaign, runs: list[Run]) -> dict[str, Any]:
    """Why messages and attempts failed, and what can be made of those that are unknown."""
    failures = failures_of(runs)
    return {
        "failures": failures,
        "attempts": sum(run.attempts for run in runs),
        "working": any(run.remedy for run in runs),
        "idempotent": failures.quarantined > 0 and connections.campaign_takes_repeats(campaign),
    }


def _rows(campaign: Campaign, runs: list[Run], shown: list[Run], wanted: dict[str, Any]) -> dict[str, Any]:
    """A page of messages. Of what goes well there may be a million, and no index: it is not looked at again."""
    asked = {name: wanted[name] for name in ("status", "q", "cursor")}
    page = messages_page(shown[0], **asked) if shown else Ordered[Message]([], None)
    moving = campaign.status in MOVING or any(run.open for run in runs)
    return {"page": page, "live": moving and not asked["cursor"] and asked["status"] not in SMOOTH}


def _poll(row: Campaign, runs: list[Run]) -> int | None:
    """Seconds until the figures are asked for again; it does not keep anyone waiting who has just launched."""
    if row.status == CampaignStatus.SCHEDULED and row.starts_at <= now():
        return 1
    # What was in flight at the end is still being recorded.
    settling = any(run.open or run.remedy for run in runs)
    return _POLL.get(row.status) or (_POLL_SETTLING if settling else None)
