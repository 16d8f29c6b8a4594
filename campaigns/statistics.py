"""A campaign's figures, from counters: nothing here counts messages, so a page costs the same at any size."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Min
from django.utils.timezone import now

from campaigns.models import Campaign, Message, Run, RunMinute
from campaigns.states import OPEN, CampaignStatus, MessageStatus

_WINDOW = timedelta(minutes=1)
_MINUTES_KEPT = 24 * 60
_RUNS_SHOWN = 100


@dataclass(frozen=True)
class Statistics:
    """How far, how fast, how long. `rate` is in messages per second, over the last minute or two of work."""

    total: int
    by_status: dict[str, int]
    attempts: int
    parts: int
    retrying: int
    retry_at: datetime | None
    rate: float
    started_at: datetime | None
    finished_at: datetime | None
    eta: datetime | None
    runs: list[Run]
    minutes: list[RunMinute]
    """The latest minutes in which anything happened, oldest first."""

    @property
    def done(self) -> int:
        """Messages that need nothing more from us."""
        return self.total - sum(self.by_status[status] for status in OPEN)


def campaign_statistics(campaign: Campaign) -> Statistics:
    """All figures of one campaign, over all of its runs: at most one a day, so they are added up here."""
    runs = list(campaign.runs.order_by("-occurrence"))
    minutes = list(RunMinute.objects.filter(run__campaign=campaign).order_by("-minute")[:_MINUTES_KEPT])[::-1]
    by_status = {status: sum(getattr(run, status) for run in runs) for status in MessageStatus.values}
    started_at = min((run.started_at for run in runs), default=None)
    retrying, retry_at = _retrying([run for run in runs if run.finished_at is None])
    rate = _rate(minutes, started_at)
    return Statistics(
        total=sum(by_status.values()),
        by_status=by_status,
        attempts=sum(run.attempts for run in runs),
        parts=sum(run.parts for run in runs),
        retrying=retrying,
        retry_at=retry_at,
        rate=rate,
        started_at=started_at,
        finished_at=campaign.finished_at,
        eta=_eta(campaign, sum(by_status[status] for status in OPEN), rate),
        runs=runs[:_RUNS_SHOWN],
        minutes=minutes,
    )


def _retrying(active: list[Run]) -> tuple[int, datetime | None]:
    """How many messages wait for another attempt after one that failed, and when the first is due."""
    if not any(run.pending for run in active):
        return 0, None
    waiting = Message.objects.waiting().filter(run__in=active, attempts__gt=0)
    found = waiting.aggregate(number=Count("pk"), first=Min("due_at"))
    return found["number"], found["first"]


def _rate(minutes: list[RunMinute], started_at: datetime | None) -> float:
    """Messages per second that reached an end, from the beginning of the last full minute to now."""
    moment = now()
    since = moment.replace(second=0, microsecond=0) - _WINDOW
    ended = sum(row.sent + row.failed for row in minutes if row.minute >= since)
    seconds = (moment - max(since, started_at or since)).total_seconds()
    return round(ended / max(seconds, 1.0), 2)


def _eta(campaign: Campaign, waiting: int, rate: float) -> datetime | None:
    """When the last message leaves at the present rate; unknown while nothing moves."""
    if campaign.status != CampaignStatus.RUNNING or not waiting or not rate:
        return None
    seconds = min(waiting / rate, (campaign.ends_at - now()).total_seconds())
    return now() + timedelta(seconds=max(seconds, 0))
