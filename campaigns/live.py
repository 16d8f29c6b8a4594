"""The parts of a campaign's page that are looked at again while it runs: what each of them shows."""

from collections.abc import Callable
from typing import Any, Final

from django.utils.timezone import now

from campaigns import charts, connections
from campaigns.models import Campaign, Run, RunMinute
from campaigns.progress import progress_of, progress_of_runs
from campaigns.selection import failures_of, messages_page
from campaigns.states import SMOOTH, CampaignStatus, Repeat
from campaigns.statistics import RUNS_SHOWN, campaign_statistics

MOVING: Final = (CampaignStatus.RUNNING, CampaignStatus.PAUSED)
# Seconds between two looks at the figures.
_POLL: Final[dict[str, int]] = {CampaignStatus.SCHEDULED: 5, CampaignStatus.RUNNING: 2, CampaignStatus.PAUSED: 5}
_POLL_SETTLING: Final = 2
_MINUTES_KEPT: Final = 24 * 60


def _figures(row: Campaign, wanted: dict[str, Any]) -> dict[str, Any]:
    """What the counters tell; the tabs tell of the run whose messages are shown."""
    statistics = campaign_statistics(row)
    progress = progress_of(statistics)
    repeated = row.repeat != Repeat.ONCE
    shown = _shown(statistics.runs, wanted)
    return {
        "runs": statistics.runs,
        "statistics": statistics,
        "poll": _poll(row, statistics.runs),
        "progress": progress,
        "tabs": progress_of_runs(shown) if repeated else progress,
        "run": shown[0] if repeated and shown else None,
    }


def _chart(row: Campaign, wanted: dict[str, Any]) -> dict[str, Any]:
    """Of a repeated campaign the chart is that of the run whose messages are shown."""
    runs = list(row.runs.order_by("-occurrence"))
    minutes = RunMinute.objects.filter(run__in=_shown(runs, wanted)).order_by("-minute")[:_MINUTES_KEPT]
    until = now() if row.status == CampaignStatus.RUNNING else None
    return {"poll": _poll(row, runs), "chart": charts.per_minute(list(minutes)[::-1], until=until)}


def _why(row: Campaign, _wanted: dict[str, Any]) -> dict[str, Any]:
    """Why messages and attempts failed, and what can be made of those that are unknown."""
    runs = list(row.runs.order_by("-occurrence")[:RUNS_SHOWN])
    failures = failures_of(runs)
    return {
        "poll": _poll(row, runs),
        "failures": failures,
        "attempts": sum(run.attempts for run in runs),
        "working": any(run.remedy for run in runs),
        "idempotent": failures.quarantined > 0 and connections.campaign_takes_repeats(row),
    }


def _rows(row: Campaign, wanted: dict[str, Any]) -> dict[str, Any]:
    """A page of messages. Of what goes well there may be a million, and no index: it is not looked at again."""
    first = not wanted["cursor"] and wanted["status"] not in SMOOTH
    live = first and (row.status in MOVING or any(run.open for run in row.runs.all()))
    return {"page": messages_page(row, **wanted), "live": live}


def _shown(runs: list[Run], wanted: dict[str, Any]) -> list[Run]:
    """The run that is asked for, or else the latest, if there is one."""
    return [each for each in runs if wanted["run"] in (None, each.pk)][:1]


def _poll(row: Campaign, runs: list[Run]) -> int | None:
    """Seconds until the figures are asked for again; it does not keep anyone waiting who has just launched."""
    if row.status == CampaignStatus.SCHEDULED and row.starts_at <= now():
        return 1
    # What was in flight at the end is still being recorded.
    settling = any(run.open or run.remedy for run in runs)
    return _POLL.get(row.status) or (_POLL_SETTLING if settling else None)


# The parts of a campaign's page that ask for themselves, by the ids of their elements.
PARTS: Final[dict[str | None, Callable[[Campaign, dict[str, Any]], dict[str, Any]]]] = {
    "chart": _chart,
    "why": _why,
    "rows": _rows,
    "progress": _figures,
}
