"""Who a run writes to, and from when: all recipients frozen with one INSERT … SELECT, joiners added each minute."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Case, DateTimeField, Exists, F, Max, Min, OuterRef, Q, Value, When
from django.utils.timezone import now

from campaigns import calendar
from campaigns.counters import count
from campaigns.models import Campaign, Message, Run
from campaigns.states import MessageStatus
from directory.models import Contact, ContactQuerySet

# A contact's change becomes visible when its transaction commits, which may be a while after its `updated_at`.
_JOIN_OVERLAP = timedelta(minutes=2)
_RANGE = 50_000
_COLUMNS = ("run_id", "contact_id", "status", "due_at", "changed_at", "attempts", "leases", "parts", "reason", "text")


def recipients(campaign: Campaign) -> ContactQuerySet:
    """The contacts that the campaign would write to if it ran now."""
    return Contact.objects.writable().matching(campaign.picks)


def still_recipient(campaign: Campaign) -> Exists:
    """For a query of messages: whether the contact still is one of `recipients`."""
    return Exists(recipients(campaign).filter(pk=OuterRef("contact_id")))


def zone_due(campaign: Campaign, run: Run, zone: str, moment: datetime) -> datetime:
    """When messages to contacts in `zone` may first leave."""
    start = run.occurrence
    if campaign.local_time:
        start = calendar.local_start(run.occurrence, campaign.timezone, zone)
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
    if Run.objects.filter(pk=run.pk, campaign__updated_at=campaign.updated_at).update(joined_at=moment):
        run.joined_at = moment
    return added


def _insert_all(run: Run, contacts: ContactQuerySet, moment: datetime) -> int:
    """Insert range by range of contact ids, each in its own transaction: none is long, and sending begins early."""
    zones = list(contacts.order_by().values_list("timezone", flat=True).distinct())
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
            count(run.pk, {MessageStatus.PENDING.value: inserted})
        added += inserted
    return added


def _insert(run: Run, contacts: ContactQuerySet, moment: datetime) -> int:
    """INSERT … SELECT of those contacts; one that the run has already is passed over."""
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
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {Message._meta.db_table} ({', '.join(_COLUMNS)}) {select} "
            "ON CONFLICT (run_id, contact_id) DO NOTHING",
            parameters,
        )
        return int(cursor.rowcount)


def reschedule(campaign: Campaign, *, everyone: bool) -> None:
    """Plan anew what waits, after a change of times; with `everyone` also look for new recipients everywhere.

    A message that waits for its next attempt keeps its time, unless it is a window that it waits for.
    """
    moment = now()
    planned = Q(attempts=0) | Q(due_at__gt=moment + timedelta(seconds=settings.RETRY_CAP))
    for run in campaign.runs.active():
        run.campaign = campaign
        waiting = run.messages.filter(planned, status=MessageStatus.PENDING)
        for zone in waiting.order_by().values_list("contact__timezone", flat=True).distinct():
            waiting.filter(contact__timezone=zone).update(due_at=zone_due(campaign, run, zone, moment))
        if everyone:
            Run.objects.filter(pk=run.pk).update(joined_at=None)
