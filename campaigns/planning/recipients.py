"""The recipients of runs: frozen by INSERT … SELECT with their due times; joiners are added later."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Case, CharField, DateTimeField, Exists, F, Max, Min, OuterRef, Q, Value, When
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce

from accounts.models import known_timezones
from campaigns.counters import count, count_retried, moved
from campaigns.gateways.coverage import coverage_of
from campaigns.messages.last_contacted import contacted_since
from campaigns.models import Campaign, Message, Run
from campaigns.planning import recurrence
from campaigns.states import NOT_RECIPIENT, MessageStatus
from directory.audiences.audience import NEVER, WITHIN, Audience
from directory.models import Contact, ContactQuerySet
from project.core.clock import now

log = structlog.get_logger("vestnik.campaigns")

# A change of a contact becomes visible at the commit, which may be a while after its `updated_at`.
_JOIN_OVERLAP = timedelta(minutes=2)
_FIRST_RANGE, _RANGE = 2000, 50_000
_REPLAN_BATCH = 5000
_COLUMNS = (
    *("run_id", "contact_id", "status", "due_at", "changed_at"),
    *("attempts", "leases", "parts", "reason", "text", "route"),
)


def recipients(campaign: Campaign) -> ContactQuerySet:
    """The contacts that the campaign would send to now; none for a transactional campaign."""
    return Contact.objects.none() if campaign.transactional else included(campaign.audience_filter)


def included(audience: Audience, *, among_few: bool = False) -> ContactQuerySet:
    """The contacts that the audience includes now; see `ContactQuerySet.matching`."""
    contacts = Contact.objects.contactable().matching(audience, among_few=among_few)
    condition = audience.last_contacted
    if condition is None:
        return contacts
    since = None if condition.when == NEVER else now() - timedelta(days=condition.days)
    lately = contacted_since(since)
    if lately is None:
        return contacts
    if condition.when != WITHIN:
        return contacts.filter(~lately)
    return contacts | Contact.objects.contactable().matching(replace(audience, last_contacted=None)).filter(lately)


def known_zones(campaign: Campaign, zones: Iterable[str]) -> list[str]:
    """The zones that the campaign can use: all of them if it does not need local time, else those that exist.

    A zone that is no longer in the time zone database is skipped, so that it does not stop the other zones.
    """
    all_zones = list(zones)
    if campaign.hours is None and not campaign.local_time:
        return all_zones
    known = [zone for zone in all_zones if zone in known_timezones()]
    if len(known) < len(all_zones):
        log.error("unknown time zones", campaign=campaign.pk, zones=sorted(set(all_zones) - set(known)))
    return known


def zone_due(campaign: Campaign, run: Run, zone: str, moment: datetime) -> datetime:
    """When messages to contacts in `zone` may first be sent."""
    start = run.occurrence
    if campaign.local_time:
        start = recurrence.local_start(campaign.starts_at, run.occurrence, campaign.timezone, zone)
    return recurrence.due_at(start, campaign.hours, zone, moment)


def freeze(run: Run) -> int:
    """Create a pending message for each recipient that has none in this run; return how many.

    The first call reads the whole directory, later ones only contacts changed since: any change that makes a contact
    match also sets its `updated_at`.
    """
    moment, campaign, contacts = now(), run.campaign, recipients(run.campaign)
    if not run.total and not run.routed and coverage_of(campaign.gateway_id).divides:
        run.routed = Run.objects.filter(pk=run.pk).update(routed=True) > 0
    if run.joined_at is None:
        added = _restore(run, contacts) + _insert_all(run, contacts, moment)
    else:
        added = _include(run, contacts.filter(updated_at__gte=run.joined_at - _JOIN_OVERLAP), moment)
    # If the campaign was changed meanwhile, the whole directory has to be read again.
    if Run.objects.active().filter(pk=run.pk, campaign__updated_at=campaign.updated_at).update(joined_at=moment):
        run.joined_at = moment
    return added


def _include(run: Run, changed: ContactQuerySet, moment: datetime) -> int:
    """Include these recipients, who changed while the run is active; return how many messages became pending.

    Those who match again get their cancelled message back. Messages that wait follow a corrected time zone.
    """
    if not changed.exists():
        return 0
    restored = _restore(run, changed)
    if run.campaign.local_time or run.campaign.hours:
        _follow_zones(run, changed, moment)
    # Even a row that the constraint refuses uses up an id.
    joiners = changed.filter(~Exists(Message.objects.filter(run=run, contact=OuterRef("pk"))))
    return restored + _insert_all(run, joiners, moment)


def _restore(run: Run, contacts: ContactQuerySet) -> int:
    """Make messages pending again that were cancelled because their contact was no recipient; return how many."""
    cancelled = run.messages.in_status(MessageStatus.CANCELLED).filter(reason=NOT_RECIPIENT)
    if not cancelled.exists():
        return 0
    cancelled, restored = cancelled.filter(contact__in=contacts), 0
    while True:
        with transaction.atomic():
            locked = cancelled.order_by("pk").select_for_update(of=("self",))
            rows = list(locked.values_list("pk", "contact__timezone")[:_REPLAN_BATCH])
            if not (rows and run.campaign.lock_if_unchanged()):
                return restored
            number = Message.objects.filter(pk__in=[pk for pk, _ in rows]).reset_to_pending()
            count({run.pk: moved(MessageStatus.CANCELLED, MessageStatus.PENDING, number)})
            set_due(run, rows)
        restored += number


def _follow_zones(run: Run, contacts: ContactQuerySet, moment: datetime) -> None:
    """Plan the unattempted messages to these contacts again where their zone's due time is another one."""
    unattempted = run.messages.waiting().filter(attempts=0, contact__in=contacts)
    zones = unattempted.order_by().values_list("contact__timezone", flat=True).distinct()
    for zone in known_zones(run.campaign, zones):
        due = zone_due(run.campaign, run, zone, moment)
        # What is due already stays in its place.
        moving = unattempted.filter(contact__timezone=zone).exclude(due_at=due)
        if due <= moment:
            moving = moving.filter(due_at__gt=moment)
        moving.update(due_at=due)


def _insert_all(run: Run, contacts: ContactQuerySet, moment: datetime) -> int:
    """Insert by ranges of contact ids, each in a short transaction of its own, small ones first: sending begins early.

    It stops if the campaign was changed meanwhile, because the plan is obsolete, or if another worker has closed the
    run, because its messages would never be sent.
    """
    planned = _planned(run, contacts, moment).annotate(carrier=_carrier(run))
    bounds, added = planned.aggregate(first=Min("pk"), last=Max("pk")), 0
    if bounds["first"] is None:
        return 0
    start, size = bounds["first"], _FIRST_RANGE
    while start <= bounds["last"]:
        with transaction.atomic():
            inserted = _insert(run, planned.filter(pk__gte=start, pk__lt=start + size), moment)
            if not (run.campaign.lock_if_unchanged() and Run.objects.active().filter(pk=run.pk).exists()):
                transaction.set_rollback(True)
                break
            count({run.pk: {MessageStatus.PENDING.value: inserted}})
        added += inserted
        start, size = start + size, min(2 * size, _RANGE)
    return added


def _carrier(run: Run) -> Combinable:
    """The gateway that carries a contact's number; the campaign's where none does, and where runs are not routed."""
    if not run.routed:
        return Value(None, output_field=CharField())
    coverage = coverage_of(run.campaign.gateway_id)
    return Coalesce(coverage.annotation(), Value(coverage.home))


def _planned(run: Run, contacts: ContactQuerySet, moment: datetime) -> ContactQuerySet:
    """These contacts with the due time of their message; without those in unknown zones if zones matter."""
    if not (run.campaign.local_time or run.campaign.hours):
        at = zone_due(run.campaign, run, run.campaign.timezone, moment)
        return contacts.annotate(due=Value(at, output_field=DateTimeField()))
    zones = known_zones(run.campaign, contacts.order_by().values_list("timezone", flat=True).distinct())
    cases = [When(timezone=zone, then=Value(zone_due(run.campaign, run, zone, moment))) for zone in zones]
    return contacts.filter(timezone__in=zones).annotate(due=Case(*cases, output_field=DateTimeField()))


def _insert(run: Run, contacts: ContactQuerySet, moment: datetime) -> int:
    """INSERT … SELECT these contacts; those that the run already has are skipped.

    The contacts are locked, so that nobody deletes them as unused meanwhile.
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
        F("carrier"),
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
    """Process the marks of a run in batches, to hold no lock for long, and clear them.

    It continues where it was interrupted. A change of the campaign stops it, and causes another call.
    """
    while run.replan_from is not None:
        with transaction.atomic():
            if not run.campaign.lock_if_unchanged():
                return
            rows = _next_to_plan(run)
            _plan(run, rows)
            if len(rows) == _REPLAN_BATCH:
                run.replan_from = rows[-1][0] + 1
            else:
                run.replan_from = run.retry_before = None
            run.save(update_fields=["replan_from", "retry_before"])


def _next_to_plan(run: Run) -> list[tuple[int, str, str]]:
    """Lock the next messages to plan; return id, status, and the contact's time zone.

    A message that waits for a retry keeps its due time, unless it waits for a window. One that a sender has locked is
    already due.
    """
    replannable = Q(attempts=0) | Q(due_at__gt=now() + timedelta(seconds=settings.RETRY_CAP))
    planned = Q(replannable, listed_status=MessageStatus.PENDING)
    if run.retry_before is not None:
        planned |= Q(listed_status=MessageStatus.FAILED, changed_at__lte=run.retry_before)
    rows = run.messages.filter(planned, pk__gte=run.replan_from).order_by("pk")
    locked = rows.select_for_update(skip_locked=True, of=("self",))
    return list(locked.values_list("pk", "status", "contact__timezone")[:_REPLAN_BATCH])


def _plan(run: Run, rows: list[tuple[int, str, str]]) -> None:
    """Set the due times of these messages; failed ones become pending as if never attempted."""
    failed = [pk for pk, status, _ in rows if status == MessageStatus.FAILED]
    count_retried(Message.objects.filter(pk__in=failed))
    retried = Message.objects.filter(pk__in=failed).reset_to_pending()
    count({run.pk: moved(MessageStatus.FAILED, MessageStatus.PENDING, retried)})
    set_due(run, ((pk, zone) for pk, _, zone in rows))


def set_due(run: Run, rows: Iterable[tuple[int, str]]) -> None:
    """Set the due times of these messages by the time zones of their contacts."""
    moment = now()
    by_zone: dict[str, list[int]] = defaultdict(list)
    for pk, zone in rows:
        by_zone[zone].append(pk)
    for zone in known_zones(run.campaign, by_zone):
        Message.objects.filter(pk__in=by_zone[zone]).update(due_at=zone_due(run.campaign, run, zone, moment))
