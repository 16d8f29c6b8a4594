"""Who a run writes to, and from when: all recipients frozen with one INSERT … SELECT, joiners added as they come."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Case, DateTimeField, F, Max, Min, Q, Value, When

from accounts.models import known_timezones
from campaigns import calendar
from campaigns.counters import count, moved
from campaigns.models import Campaign, Message, Run
from campaigns.states import MessageStatus
from directory.models import Contact, ContactQuerySet
from project.clock import now

log = structlog.get_logger("vestnik.campaigns")

# A contact's change becomes visible when its transaction commits, which may be a while after its `updated_at`.
_JOIN_OVERLAP = timedelta(minutes=2)
_RANGE = 50_000
_REPLAN_BATCH = 5000
_COLUMNS = ("run_id", "contact_id", "status", "due_at", "changed_at", "attempts", "leases", "parts", "reason", "text")


def recipients(campaign: Campaign) -> ContactQuerySet:
    """The contacts that the campaign would write to if it ran now; one of direct messages picks nobody by itself."""
    if campaign.direct:
        return Contact.objects.none()
    return Contact.objects.writable().matching(campaign.picks)


def known_zones(campaign: Campaign, zones: Iterable[str]) -> list[str]:
    """Those of the contacts' time zones by which the campaign can tell the time.

    A zone that is no longer in the database of time zones is left out, so that it stops nobody else.
    """
    named = list(zones)
    if campaign.window is None and not campaign.local_time:
        return named
    known = [zone for zone in named if zone in known_timezones()]
    if len(known) < len(named):
        log.error("unknown time zones", campaign=campaign.pk, zones=sorted(set(named) - set(known)))
    return known


def zone_due(campaign: Campaign, run: Run, zone: str, moment: datetime) -> datetime:
    """When messages to contacts in `zone` may first leave."""
    start = run.occurrence
    if campaign.local_time:
        start = calendar.local_start(campaign.starts_at, run.occurrence, campaign.timezone, zone)
    return calendar.due_at(start, campaign.window, zone, moment)


def freeze(run: Run) -> int:
    """Write a pending message for each recipient that the run does not have yet, and return how many there were.

    The first time it looks at the whole directory, later only at contacts changed since: whatever makes a contact come
    to match also moves its `updated_at`.
    """
    moment, campaign = now(), run.campaign
    joiners = recipients(campaign)
    if run.joined_at is not None:
        joiners = joiners.filter(updated_at__gte=run.joined_at - _JOIN_OVERLAP)
    added = _insert_all(run, joiners, moment)
    # Whoever changed the campaign meanwhile wants the whole directory looked at anew.
    if Run.objects.active().filter(pk=run.pk, campaign__updated_at=campaign.updated_at).update(joined_at=moment):
        run.joined_at = moment
    return added


def _insert_all(run: Run, contacts: ContactQuerySet, moment: datetime) -> int:
    """Insert range by range of contact ids, each in its own transaction: none is long, and sending begins early.

    It stops where the campaign has been changed meanwhile, for the plan is another then, and where another worker has
    closed the run, for nothing would ever leave.
    """
    zones = known_zones(run.campaign, contacts.order_by().values_list("timezone", flat=True).distinct())
    if not zones:
        return 0
    due = Case(
        *(When(timezone=zone, then=Value(zone_due(run.campaign, run, zone, moment))) for zone in zones),
        output_field=DateTimeField(),
    )
    planned = contacts.filter(timezone__in=zones).annotate(due=due)
    bounds, added = contacts.aggregate(first=Min("pk"), last=Max("pk")), 0
    for start in range(bounds["first"] or 0, (bounds["last"] or 0) + 1, _RANGE):
        with transaction.atomic():
            inserted = _insert(run, planned.filter(pk__gte=start, pk__lt=start + _RANGE), moment)
            if not (run.campaign.hold() and Run.objects.active().filter(pk=run.pk).exists()):
                transaction.set_rollback(True)
                break
            count(run.pk, {MessageStatus.PENDING.value: inserted})
        added += inserted
    return added


def _insert(run: Run, contacts: ContactQuerySet, moment: datetime) -> int:
    """INSERT … SELECT of those contacts; one that the run has already is passed over.

    They are locked against deletion by whoever has found that nobody writes to them.
    """
    rows = contacts.order_by().values_list(
        Value(run.pk),
        F("pk"),
        Value(MessageStatus.PENDING.value),
        F("due"),
        Value(moment, output_field=DateTimeField()),
        Value(0),
        Value(0),
        Value(0),
        Value(""),
        Value(""),
    )
    select, parameters = rows.query.sql_with_params()
    locked = f"FOR KEY SHARE OF {Contact._meta.db_table}" if connection.features.has_select_for_update else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {Message._meta.db_table} ({', '.join(_COLUMNS)}) {select} {locked} ON CONFLICT DO NOTHING",
            parameters,
        )
        return int(cursor.rowcount)


def replan(run: Run) -> None:
    """Do what the marks of a run ask for, in batches that hold no lock for long, and clear them.

    It goes on where it was interrupted. Whoever changes the campaign meanwhile stops it, and has it called again.
    """
    while run.replan_from is not None:
        with transaction.atomic():
            if not run.campaign.hold():
                return
            rows = _to_plan(run)
            _plan(run, rows)
            if len(rows) == _REPLAN_BATCH:
                run.replan_from = rows[-1][0] + 1
            else:
                run.replan_from = run.retry_before = None
            run.save(update_fields=["replan_from", "retry_before"])


def _to_plan(run: Run) -> list[tuple[int, str, str]]:
    """The next messages to plan, locked: id, status, and the contact's time zone.

    One that waits for its next attempt keeps its time, unless it is a window that it waits for. One that a sender has
    locked is due already.
    """
    window = Q(attempts=0) | Q(due_at__gt=now() + timedelta(seconds=settings.RETRY_CAP))
    planned = Q(window, listed_status=MessageStatus.PENDING)
    if run.retry_before is not None:
        planned |= Q(listed_status=MessageStatus.FAILED, changed_at__lte=run.retry_before)
    rows = run.messages.filter(planned, pk__gte=run.replan_from).order_by("pk")
    locked = rows.select_for_update(skip_locked=True, of=("self",))
    return list(locked.values_list("pk", "status", "contact__timezone")[:_REPLAN_BATCH])


def _plan(run: Run, rows: list[tuple[int, str, str]]) -> None:
    """Set when these messages may leave; what failed waits again, as if never tried."""
    failed = [pk for pk, status, _ in rows if status == MessageStatus.FAILED]
    retried = Message.objects.filter(pk__in=failed).wait_again()
    count(run.pk, moved(MessageStatus.FAILED, MessageStatus.PENDING, retried))
    set_due(run, ((pk, zone) for pk, _, zone in rows))


def set_due(run: Run, rows: Iterable[tuple[int, str]]) -> None:
    """Set when the messages of those ids may leave, each by the clock of its contact's time zone."""
    moment = now()
    by_zone: dict[str, list[int]] = defaultdict(list)
    for pk, zone in rows:
        by_zone[zone].append(pk)
    for zone in known_zones(run.campaign, by_zone):
        Message.objects.filter(pk__in=by_zone[zone]).update(due_at=zone_due(run.campaign, run, zone, moment))
