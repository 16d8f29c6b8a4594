"""The life cycle of campaigns: runs begin, include joiners and end; the campaign finishes.

`campaign_advance` does what is due for a campaign. It may be called at any time, any number of times, by several
workers at once, because every step is a conditional change of rows.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import connection, transaction

from accounts.webhooks.models import EventType
from campaigns.gateways import registry
from campaigns.messages.unresolved import resolve_marked
from campaigns.metrics import START_LATENESS
from campaigns.models import NOTHING_OPEN, Campaign, Run
from campaigns.planning import recurrence
from campaigns.planning.recipients import freeze, known_zones, recipients, replan
from campaigns.planning.settle import settle
from campaigns.states import UNFINISHED, CampaignStatus, MessageStatus
from campaigns.webhook_events import campaign_changed
from project.core.clock import now
from project.queue.broker import DB_OUTAGE_ERRORS, enqueue
from project.queue.tasks import task

log = structlog.get_logger("vestnik.campaigns")

SEND = "campaigns.tasks.send"
# Hints are due no later than this; the sweep hints anything later in time.
HORIZON = timedelta(seconds=150)
_RETRY_DELAY = timedelta(seconds=1)
_SETTLE_BATCH = 5000


@task("campaigns.tasks.advance")
def advance(campaign_id: int) -> None:
    """Do what is due for a campaign."""
    campaign_advance(campaign_id)


def campaign_advance(campaign_id: int) -> None:
    """Do what is due for a campaign, and leave hints for what is due soon. If another worker is at it, try again later.

    A failing step does not stop the others; unexpected errors are raised together as an ExceptionGroup. After errors of
    the database connection it tries again.
    """
    with structlog.contextvars.bound_contextvars(campaign=campaign_id), _advance_lock(campaign_id) as acquired:
        if acquired:
            _advance(campaign_id)
        else:
            hint_advance(campaign_id, now() + _RETRY_DELAY)


@contextmanager
def _advance_lock(campaign_id: int) -> Iterator[bool]:
    """Lock out other workers during the block; yields whether the lock was free.

    It only saves them from waiting for each other's row locks. The lock ends with the connection. SQLite needs none,
    because it has one writer at a time.
    """
    if connection.vendor != "postgresql":
        yield True
        return
    key = [f"campaign {campaign_id}"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", key)
        acquired = cursor.fetchone()[0]
    try:
        yield acquired
    finally:
        if acquired:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", key)


def _advance(campaign_id: int) -> None:
    campaign = Campaign.objects.filter(pk=campaign_id).first()
    if campaign is None:
        return
    if resolve_marked(campaign):
        hint_advance(campaign.pk)
    if campaign.status == CampaignStatus.CANCELLED:
        _cancel_pending(campaign)
    elif campaign.status in UNFINISHED:
        _advance_unfinished(campaign)


def _advance_unfinished(campaign: Campaign) -> None:
    """Begin the run that is due, advance active runs, and finish the campaign if no run can follow."""
    errors: list[Exception] = []
    # If `_begin` fails, the next run is unknown, and the campaign must not finish.
    upcoming: datetime | None = campaign.ends_at
    with _collect_errors(errors):
        upcoming = _begin(campaign)
    for run in campaign.runs.active().select_related("campaign"):
        with structlog.contextvars.bound_contextvars(run=run.pk), _collect_errors(errors):
            _advance_run(run)
    if not _finish(campaign, upcoming):
        _hint(campaign, upcoming)
    unexpected = [error for error in errors if not isinstance(error, DB_OUTAGE_ERRORS)]
    if len(unexpected) < len(errors):
        # A time-out or a conflict with another transaction may be gone at the next try.
        hint_advance(campaign.pk, now() + _RETRY_DELAY)
    if unexpected:
        raise ExceptionGroup(f"campaign {campaign.pk}", unexpected)


@contextmanager
def _collect_errors(errors: list[Exception]) -> Iterator[None]:
    """Log an exception of the block and append it to `errors`, so that the other steps run."""
    try:
        yield
    except DB_OUTAGE_ERRORS as error:
        log.warning("database out of reach", error=str(error).strip())
        errors.append(error)
    except Exception as error:
        log.exception("campaign step failed")
        errors.append(error)


def hint_advance(campaign_id: int, due: datetime | None = None) -> None:
    """Enqueue `advance` for a campaign, now or at `due`, unless that is beyond the horizon."""
    if due is None or due < now() + HORIZON:
        advance.enqueue(campaign_id, due=due)


def hint_send(due: datetime | None = None) -> None:
    """Enqueue `send` for each gateway, now or at `due`, unless that is beyond the horizon."""
    for name in registry.active_names():
        hint_send_by(name, due)


def hint_send_by(gateway: str, due: datetime | None = None) -> None:
    """Enqueue `send` for a gateway. The one of the settings is not named, because old workers expect no argument."""
    if due is None or due < now() + HORIZON:
        enqueue(SEND, *([] if gateway == settings.GATEWAY else [gateway]), due=due)


def hint_start(campaign_id: int, at: datetime) -> None:
    """Enqueue `send`, then `advance`, for the start of a run.

    Tasks are taken by due time. If the run itself enqueued `send`, it would come after all runs that begin at the same
    time.
    """
    hint_send(at)
    hint_advance(campaign_id, at)


def retry_failed(campaign: Campaign) -> int:
    """Mark active runs to make their failed messages pending again; return the number of these messages."""
    moment, retried = now(), 0
    for run in campaign.runs.filter(failed__gt=0):
        run.campaign = campaign
        if moment < run.deadline:
            Run.objects.filter(pk=run.pk).update(finished_at=None, replan_from=0, retry_before=moment)
            retried += run.failed
    return retried


def _begin(campaign: Campaign) -> datetime | None:
    """Start the run that is due, unless it has started, and return when the next one is due.

    If several occurrences were missed, during an outage or a pause, only the latest is run. Transactional campaigns
    have no planned runs.
    """
    if campaign.transactional:
        return campaign.ends_at
    moment, zones = now(), _zones(campaign)
    latest: datetime | None = None
    for occurrence in recurrence.occurrences(campaign.starts_at, campaign.repeat, campaign.timezone, moment):
        begins = min(_starts(campaign, occurrence, zones))
        if begins >= campaign.ends_at:
            break
        if begins > moment:
            if latest is not None:
                _start_run(campaign, latest, superseded=max(_starts(campaign, occurrence, zones)))
            return begins
        latest = occurrence
    if latest is not None:
        _start_run(campaign, latest, superseded=None)
    return None


def _zones(campaign: Campaign) -> list[str]:
    """The recipients' time zones, if the campaign runs in local time."""
    if not campaign.local_time:
        return []
    return known_zones(campaign, recipients(campaign).order_by().values_list("timezone", flat=True).distinct())


def _starts(campaign: Campaign, occurrence: datetime, zones: list[str]) -> list[datetime]:
    """When an occurrence begins in each zone; the same moment for all unless in local time."""
    local = [recurrence.local_start(campaign.starts_at, occurrence, campaign.timezone, zone) for zone in zones]
    return local or [occurrence]


def _start_run(campaign: Campaign, occurrence: datetime, *, superseded: datetime | None) -> None:
    """Start a run. It is superseded when the next run has begun in all zones: yesterday's offer is not sent today.

    After the campaign's end only a first run starts, so that its recipients are counted as expired.
    """
    if campaign.status not in (CampaignStatus.SCHEDULED, CampaignStatus.RUNNING):
        return
    if now() >= campaign.ends_at and campaign.runs.exists():
        return
    with transaction.atomic():
        if not campaign.lock_if_unchanged():
            return
        run, created = Run.objects.get_or_create(
            campaign=campaign, occurrence=occurrence, defaults={"ends_at": superseded}
        )
        if created:
            # The run before may have begun when no next one was planned.
            campaign.runs.active().filter(occurrence__lt=occurrence, ends_at=None).update(ends_at=now())
        if campaign.status == CampaignStatus.SCHEDULED:
            campaign.enter(CampaignStatus.RUNNING)
            campaign_changed(campaign, EventType.CAMPAIGN_STARTED)
    if created:
        planned = max(occurrence, campaign.updated_at)
        late = (now() - planned).total_seconds()
        START_LATENESS.observe(seconds=[max(0.0, late)])
        log.info("run started", run=run.pk, late_s=round(late, 2))


def _advance_run(run: Run) -> None:
    """Include joiners in an active run; after its deadline, expire the rest; close it when no message is open."""
    if now() >= run.deadline:
        if run.joined_at is None:
            # No worker was there in its time. Its recipients are known nevertheless, and get nothing.
            freeze(run)
        _settle_all(run, MessageStatus.EXPIRED)
        _close(run)
        return
    replan(run)
    if run.campaign.status != CampaignStatus.RUNNING:
        return
    joined = freeze(run)
    if joined:
        log.info("recipients added", number=joined)
    else:
        _close(run)


def _close(run: Run) -> None:
    """Mark a run as finished if none of its messages may still be sent."""
    idle = Run.objects.filter(NOTHING_OPEN, pk=run.pk, finished_at=None, replan_from=None, resolution="")
    with transaction.atomic():
        if run.campaign.lock_if_unchanged() and idle.update(finished_at=now()):
            transaction.on_commit(lambda: log.info("run finished", run=run.pk))


def _cancel_pending(campaign: Campaign) -> None:
    """Cancel all pending messages. Requests in flight are recorded when they end."""
    for run in campaign.runs.active().select_related("campaign"):
        _settle_all(run, MessageStatus.CANCELLED)
        _close(run)


def _settle_all(run: Run, status: MessageStatus) -> None:
    """Settle all pending messages, in batches, to hold no lock for long; stop if the campaign is changed meanwhile."""
    last = 0
    while True:
        with transaction.atomic():
            if not run.campaign.lock_if_unchanged():
                return
            waiting = run.messages.waiting().filter(pk__gt=last).order_by("pk")
            ids = list(waiting.select_for_update(skip_locked=True).values_list("pk", flat=True)[:_SETTLE_BATCH])
            if not ids:
                Run.objects.filter(pk=run.pk).update(replan_from=None, retry_before=None)
                return
            settle({run.pk: ids}, status)
            last = ids[-1]


def _finish(campaign: Campaign, upcoming: datetime | None) -> bool:
    """Finish a campaign if no run is active and none can follow; return whether it is finished."""
    over = now() >= campaign.ends_at
    if not over and (upcoming is not None or campaign.status != CampaignStatus.RUNNING):
        return False
    with transaction.atomic():
        if not campaign.lock_if_unchanged() or campaign.runs.active().exists():
            return False
        campaign.enter(CampaignStatus.FINISHED, finished_at=now())
        campaign_changed(campaign, EventType.CAMPAIGN_FINISHED)
    log.info("campaign finished")
    return True


def _hint(campaign: Campaign, upcoming: datetime | None) -> None:
    """Leave hints for the next occurrence, the next end of a run or the campaign, and the next due message."""
    active = campaign.runs.active()
    moments = [campaign.ends_at, *active.exclude(ends_at=None).values_list("ends_at", flat=True)]
    if upcoming is not None:
        hint_start(campaign.pk, upcoming)
    later = [moment for moment in moments if moment and moment > now()]
    if later:
        hint_advance(campaign.pk, min(later))
    next_due = campaign.runs.next_due()
    if next_due is not None:
        hint_send(next_due)
