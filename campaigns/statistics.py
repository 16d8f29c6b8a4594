"""A campaign's figures, from counters. Everything counted here is bounded, so a page costs the same at any size."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from campaigns.models import Campaign
from campaigns.states import OPEN, CampaignStatus, MessageStatus
from project.core.clock import now

_WINDOW = timedelta(minutes=1)


@dataclass(frozen=True)
class Statistics:
    """Progress, rate and duration. `rate` is in messages per second over the last minute or two.

    `retrying` is counted up to `campaigns.models.run.MAX_COUNTED` per run; `next_due` is set while the campaign runs.
    """

    total: int
    by_status: dict[str, int]
    attempts: int
    parts: int
    cost: int
    """In micros, see `project.core.money`."""
    retrying: int
    retry_at: datetime | None
    rate: float
    started_at: datetime | None
    finished_at: datetime | None
    eta: datetime | None
    next_due: datetime | None
    runs: list[Any]
    """As returned by `RunQuerySet.with_progress`."""

    @property
    def waiting_till(self) -> datetime | None:
        """When the next message is sent, if all of them wait for their due time."""
        return self.next_due if not self.rate and self.next_due and self.next_due > now() else None

    @property
    def done(self) -> int:
        """Messages in a final state."""
        return self.total - sum(self.by_status[status] for status in OPEN)


def campaign_statistics(campaign: Campaign) -> Statistics:
    """All figures of one campaign in one query, added up over its runs, which are at most one per day."""
    since = now().replace(second=0, microsecond=0) - _WINDOW
    runs: list[Any] = list(campaign.runs.with_progress(since))
    by_status = {status: sum(getattr(run, status) for run in runs) for status in MessageStatus.values}
    started_at = min((run.started_at for run in runs), default=None)
    rate = _rate(sum(run.ended for run in runs), since, started_at)
    running = campaign.status == CampaignStatus.RUNNING
    return Statistics(
        total=sum(by_status.values()),
        by_status=by_status,
        attempts=sum(run.attempts for run in runs),
        parts=sum(run.parts for run in runs),
        cost=sum(run.cost for run in runs),
        retrying=sum(run.retrying for run in runs),
        retry_at=min((run.retry_at for run in runs if run.retry_at), default=None),
        rate=rate,
        started_at=started_at,
        finished_at=campaign.finished_at,
        eta=_eta(campaign, sum(by_status[status] for status in OPEN), rate),
        next_due=min((run.first_due for run in runs if run.first_due), default=None) if running else None,
        runs=runs,
    )


def _rate(ended: int, since: datetime, started_at: datetime | None) -> float:
    """Messages ended per second, from the beginning of the last full minute to now."""
    seconds = (now() - max(since, started_at or since)).total_seconds()
    return round(ended / max(seconds, 1.0), 2)


def _eta(campaign: Campaign, waiting: int, rate: float) -> datetime | None:
    """When the last message is sent at the current rate; None while nothing is sent."""
    if campaign.status != CampaignStatus.RUNNING or not waiting or not rate:
        return None
    seconds = min(waiting / rate, (campaign.ends_at - now()).total_seconds())
    return now() + timedelta(seconds=max(seconds, 0))
