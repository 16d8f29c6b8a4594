"""A campaign's figures, from counters: nothing here counts messages, so a page costs the same at any size."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Max, Min, Sum
from django.utils.timezone import now

from campaigns.models import Campaign, Run, RunMinute
from campaigns.states import OPEN, CampaignStatus, MessageStatus

_WINDOW = timedelta(minutes=1)


@dataclass(frozen=True)
class Statistics:
    """How far, how fast, how long. `rate` is in messages per second, over the last minute or two of work."""

    total: int
    by_status: dict[str, int]
    attempts: int
    parts: int
    retrying: int
    rate: float
    started_at: datetime | None
    finished_at: datetime | None
    eta: datetime | None
    runs: list[Run]

    @property
    def done(self) -> int:
        """Messages that need nothing more from us."""
        return self.total - sum(self.by_status[status] for status in OPEN)


def campaign_statistics(campaign: Campaign) -> Statistics:
    """All figures of one campaign, over all of its runs."""
    runs = campaign.runs.all()
    figures = runs.figures()
    times = runs.aggregate(started=Min("started_at"), finished=Max("finished_at"))
    rate = sending_rate(campaign, times["started"])
    return Statistics(
        total=figures["total"],
        by_status={status: figures[status] for status in MessageStatus.values},
        attempts=figures["attempts"],
        parts=figures["parts"],
        retrying=campaign_retrying(campaign),
        rate=rate,
        started_at=times["started"],
        finished_at=campaign.finished_at,
        eta=_eta(campaign, sum(figures[status] for status in OPEN), rate),
        runs=list(runs.order_by("-occurrence")[:100]),
    )


def campaign_retrying(campaign: Campaign) -> int:
    """Messages that wait for another attempt after one that failed."""
    active = campaign.runs.active()
    return sum(run.messages.filter(status=MessageStatus.PENDING, attempts__gt=0).count() for run in active)


def sending_rate(campaign: Campaign, started_at: datetime | None) -> float:
    """Messages per second that reached an end, from the beginning of the last full minute to now."""
    moment = now()
    since = moment.replace(second=0, microsecond=0) - _WINDOW
    ended = RunMinute.objects.filter(run__campaign=campaign, minute__gte=since).aggregate(
        sent=Sum("sent"), failed=Sum("failed")
    )
    seconds = (moment - max(since, started_at or since)).total_seconds()
    return round(((ended["sent"] or 0) + (ended["failed"] or 0)) / max(seconds, 1.0), 2)


def _eta(campaign: Campaign, waiting: int, rate: float) -> datetime | None:
    """When the last message leaves at the present rate; unknown while nothing moves."""
    if campaign.status != CampaignStatus.RUNNING or not waiting or not rate:
        return None
    seconds = min(waiting / rate, (campaign.ends_at - now()).total_seconds())
    return now() + timedelta(seconds=max(seconds, 0))
