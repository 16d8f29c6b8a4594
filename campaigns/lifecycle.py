"""The life of a campaign by the clock: runs begin, take in joiners, end; the campaign finishes.

`campaign_advance` looks at where a campaign stands now and does what is due. It may be called at any time, any number
of times, by several workers at once: every step is a conditional change of rows.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef

from accounts.webhooks.models import EventType
from campaigns import calendar, connections
from campaigns.audience import freeze, known_zones, recipients, replan
from campaigns.counters import count, moved
from campaigns.events import campaign_changed, messages_changed, messages_told
from campaigns.meters import START_LATENESS
from campaigns.models import Attempt, Campaign, Message, Run
from campaigns.states import UNFINISHED, CampaignStatus, MessageStatus
from campaigns.unknown import remedy_marked
from project.clock import now
from project.queue import OUT_OF_REACH, enqueue

log = structlog.get_logger("vestnik.campaigns")

ADVANCE, SEND = "campaigns.tasks.advance", "campaigns.tasks.send"
# Hints reach this far ahead; what is later, the sweeper's next round comes to in time.
HORIZON = timedelta(seconds=150)
_AGAIN = timedelta(seconds=1)
_SETTLE_BATCH = 5000


def campaign_advance(campaign_id: int) -> None:
    """Do what is due for a campaign, and leave hints for what is due soon; while another worker does, look again later.

    A step that fails stops no other; ExceptionGroup in the end.
    """
    with structlog.contextvars.bound_contextvars(campaign=campaign_id), _alone(campaign_id) as alone:
        if alone:
            _advance(campaign_id)
        else:
            hint_advance(campaign_id, now() + _AGAIN)


@contextmanager
def _alone(campaign_id: int) -> Iterator[bool]:
    """Keep other workers from advancing the campaign for the length of the block, and tell whether none does already.

    It spares them a wait behind each other's locks, no more. The lock ends with the connection, however its holder
    dies; SQLite, with one writer at a time, has none.
    """
    if connection.vendor != "postgresql":
        yield True
        return
    key = [f"campaign {campaign_id}"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", key)
        alone = cursor.fetchone()[0]
    try:
        yield alone
    finally:
        if alone:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", key)


def _advance(campaign_id: int) -> None:
    campaign = Campaign.objects.filter(pk=campaign_id).first()
    if campaign is None:
        return
    if remedy_marked(campaign):
        hint_advance(campaign.pk)
    if campaign.status == CampaignStatus.CANCELLED:
        _cancel_waiting(campaign)
    elif campaign.status in UNFINISHED:
        _go_on(campaign)


def _go_on(campaign: Campaign) -> None:
    """Begin the run that is due, tend those that are active, and finish if there is nothing more to come."""
    errors: list[Exception] = []
    # As long as it can't be told when the next run begins, no run is taken for the last.
    upcoming: datetime | None = campaign.ends_at
    with _set_apart(errors):
        upcoming = _begin(campaign)
    for run in campaign.runs.active().select_related("campaign"):
        with structlog.contextvars.bound_contextvars(run=run.pk), _set_apart(errors):
            _tend(run)
    if not _finish(campaign, upcoming):
        _hint(campaign, upcoming)
    if any(isinstance(error, OUT_OF_REACH) for error in errors):
        # Another transaction was in the way, and may not be a second time.
        hint_advance(campaign.pk, now() + _AGAIN)
    if errors:
        raise ExceptionGroup(f"campaign {campaign.pk}", errors)


@contextmanager
def _set_apart(errors: list[Exception]) -> Iterator[None]:
    """Log what goes wrong in the block and keep it in `errors`, so that the rest goes on."""
    try:
        yield
    except Exception as error:
        log.exception("campaign in trouble")
        errors.append(error)


def hint_advance(campaign_id: int, due: datetime | None = None) -> None:
    """Ask for a look at a campaign, now or when `due`, unless that is beyond the horizon."""
    if due is None or due < now() + HORIZON:
        enqueue(ADVANCE, campaign_id, due=due)


def hint_send(due: datetime | None = None) -> None:
    """Ask for a sender of each gateway, now or when `due`, unless that is beyond the horizon."""
    for name in connections.working():
        hint_send_by(name, due)


def hint_send_by(gateway: str, due: datetime | None = None) -> None:
    """Ask for a sender of that gateway. The one of the settings has no name in it, which old workers would not know."""
    if due is None or due < now() + HORIZON:
        enqueue(SEND, *([] if gateway == settings.GATEWAY else [gateway]), due=due)


def hint_start(campaign_id: int, at: datetime) -> None:
    """Ask for a look when a run is to begin, and first for a sender that awaits its messages.

    Hints are taken in the order in which they are due, so a sender that is asked for by the run itself would come after
    all others that begin at the same time.
    """
    hint_send(at)
    hint_advance(campaign_id, at)


def retry_failed(campaign: Campaign) -> int:
    """Have everything that failed in runs that are not over wait again, as if never tried; return how much that is."""
    moment, number = now(), 0
    for run in campaign.runs.filter(failed__gt=0):
        run.campaign = campaign
        if moment < run.deadline:
            Run.objects.filter(pk=run.pk).update(finished_at=None, replan_from=0, retry_before=moment)
            number += run.failed
    return number


def _begin(campaign: Campaign) -> datetime | None:
    """Start the run whose time has come, if it has not, and return when the next one's comes.

    Of occurrences that were missed, while nothing worked or the campaign was paused, only the latest is made up for.
    Nothing is planned of direct messages.
    """
    if campaign.direct:
        return campaign.ends_at
    moment, zones = now(), _zones(campaign)
    latest: datetime | None = None
    for occurrence in calendar.occurrences(campaign.starts_at, campaign.repeat, campaign.timezone, moment):
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
    """The recipients' time zones, where they matter."""
    if not campaign.local_time:
        return []
    return known_zones(campaign, recipients(campaign).order_by().values_list("timezone", flat=True).distinct())


def _starts(campaign: Campaign, occurrence: datetime, zones: list[str]) -> list[datetime]:
    """When an occurrence begins in each zone; one moment for all unless it is in local time."""
    local = [calendar.local_start(campaign.starts_at, occurrence, campaign.timezone, zone) for zone in zones]
    return local or [occurrence]


def _start_run(campaign: Campaign, occurrence: datetime, *, superseded: datetime | None) -> None:
    """A run ends when the next has begun everywhere: yesterday's offer is not sent today."""
    if now() >= campaign.ends_at or campaign.status not in (CampaignStatus.SCHEDULED, CampaignStatus.RUNNING):
        return
    with transaction.atomic():
        if not campaign.hold():
            return
        run, created = Run.objects.get_or_create(
            campaign=campaign, occurrence=occurrence, defaults={"ends_at": superseded}
        )
        if created:
            # The one before may have begun when no next was in sight.
            campaign.runs.active().filter(occurrence__lt=occurrence, ends_at=None).update(ends_at=now())
        Campaign.objects.filter(pk=campaign.pk).update(status=CampaignStatus.RUNNING)
        if campaign.status == CampaignStatus.SCHEDULED:
            campaign_changed(campaign, EventType.CAMPAIGN_STARTED)
    campaign.status = CampaignStatus.RUNNING
    if created:
        asked = max(occurrence, campaign.updated_at)
        late = (now() - asked).total_seconds()
        START_LATENESS.observe(seconds=[max(0.0, late)])
        log.info("run started", run=run.pk, late_s=round(late, 2))


def _tend(run: Run) -> None:
    """Take in joiners while a run lasts, expire what is left when it is over, and close it when nothing is open."""
    if now() >= run.deadline:
        _settle(run, MessageStatus.EXPIRED)
        _close(run)
        return
    replan(run)
    if run.campaign.status != CampaignStatus.RUNNING:
        return
    added = freeze(run)
    if added:
        log.info("recipients added", number=added)
    else:
        _close(run)


def _close(run: Run) -> None:
    """Mark a run finished if none of its messages may still leave."""
    idle = Run.objects.filter(pk=run.pk, finished_at=None, pending=0, sending=0, replan_from=None, remedy="")
    with transaction.atomic():
        if run.campaign.hold() and idle.update(finished_at=now()):
            transaction.on_commit(lambda: log.info("run finished", run=run.pk))


def _cancel_waiting(campaign: Campaign) -> None:
    """Give up everything that waits. What is in flight is recorded as it ends."""
    for run in campaign.runs.active().select_related("campaign"):
        _settle(run, MessageStatus.CANCELLED)
        _close(run)


def _settle(run: Run, status: MessageStatus) -> None:
    """Give up what waits: it becomes `status`, or unknown if it may have been accepted, for nobody can tell.

    In batches that hold no lock for long; it stops if the campaign is changed meanwhile.
    """
    uncertain = Exists(Attempt.objects.filter(message=OuterRef("pk"), uncertain=True))
    waiting = run.messages.waiting().annotate(doubtful=uncertain).order_by("pk")
    last = 0
    while True:
        with transaction.atomic():
            if not run.campaign.hold():
                return
            locked = waiting.filter(pk__gt=last).select_for_update(skip_locked=True, of=("self",))
            rows = list(locked.values_list("pk", "doubtful")[:_SETTLE_BATCH])
            if not rows:
                Run.objects.filter(pk=run.pk).update(replan_from=None, retry_before=None)
                return
            for outcome, doubtful in ((MessageStatus.UNKNOWN, True), (status, False)):
                ids = [pk for pk, is_doubtful in rows if is_doubtful == doubtful]
                changed = Message.objects.filter(pk__in=ids).update(status=outcome, changed_at=now())
                count(run.pk, moved(MessageStatus.PENDING, outcome, changed))
            ids = [pk for pk, _ in rows]
            messages_changed([run.pk], ids)
            messages_told(ids)
            last = rows[-1][0]


def _finish(campaign: Campaign, upcoming: datetime | None) -> bool:
    """A campaign is finished when no run is active and none can come; return whether it is."""
    over = now() >= campaign.ends_at
    if not over and (upcoming is not None or campaign.status != CampaignStatus.RUNNING):
        return False
    with transaction.atomic():
        if not campaign.hold() or campaign.runs.active().exists():
            return False
        Campaign.objects.filter(pk=campaign.pk, status__in=UNFINISHED).update(
            status=CampaignStatus.FINISHED, finished_at=now()
        )
        campaign_changed(campaign, EventType.CAMPAIGN_FINISHED)
    log.info("campaign finished")
    return True


def _hint(campaign: Campaign, upcoming: datetime | None) -> None:
    """Look again at the next occurrence, at a run's end or the campaign's, whichever comes first; and send."""
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
