"""Leasing: take a batch of due messages in one short transaction, with payloads frozen at their first attempt.

A message is taken by one worker only (`FOR UPDATE SKIP LOCKED` where the database has it). A lease outlives the slice
that took it by more than one request, so a healthy worker never loses one.
"""

import json
import time
from collections import defaultdict
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple, cast
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef

from campaigns import calendar
from campaigns.audience import known_zones, recipients
from campaigns.counters import count, moved
from campaigns.events import messages_changed, messages_told
from campaigns.models import Attempt, Campaign, Lease, Message, Run
from campaigns.routing import Route
from campaigns.sending.sql import TABLE, bare_rows, table, uuid
from campaigns.states import CampaignStatus, MessageStatus
from campaigns.text import measure, placeholders, render, values_of
from directory.suppression import shut
from project.clock import now
from project.sql import execute, is_among, look_up, table_rows

SLICE_SECONDS = 20.0
# What leaves in the last moment would reach the gateway when it is over.
TRAVEL_SECONDS = 0.1
_MARGIN_SECONDS = 30.0
_CONTACT_FIELDS = frozenset({"first_name", "last_name", "phone"})
_PAYLOAD = ("id", "phone", "text", "parts")


class Leased(NamedTuple):
    """A message in a worker's hands: its frozen payload, and the last moment at which it may leave."""

    id: int
    run_id: int
    campaign_id: int
    contact_id: int | None
    phone: int
    text: str
    parts: int
    attempts: int
    leave_before: float
    """Seconds since the epoch, by the database's clock."""
    leased_at: float
    """By the monotonic clock of the worker that holds it."""


class _Due(NamedTuple):
    """A due message, its payload empty until its first attempt."""

    id: int
    contact_id: int | None
    attempts: int
    phone: int | None
    text: str
    parts: int


class _Reader(NamedTuple):
    """Whom a message goes to; `attributes` is JSON, and read only where the text asks for one."""

    phone: int
    first_name: str
    last_name: str
    timezone: str
    attributes: str = "{}"


def lease_seconds() -> float:
    """How long a lease holds: a whole slice, one request that starts at its end, and time to record."""
    return SLICE_SECONDS + settings.GATEWAY_TIMEOUT + _MARGIN_SECONDS


def lease(run: Run, token: UUID, limit: int, route: Route) -> list[Leased]:
    """Take up to `limit` due messages of `run` for the holder of `token`, as far as the route's gateway may carry them.

    Messages whose contact is no longer a recipient are cancelled on the way, those whose window is closed are put off
    to its next opening; so an empty list does not mean that nothing was due.
    """
    with transaction.atomic():
        moment = now()
        # A sender's view of a campaign may be a second old, and much may have been changed in that time.
        run.campaign.refresh_from_db()
        if run.campaign.status != CampaignStatus.RUNNING or moment >= run.deadline:
            return []
        rows = _due_rows(run, moment, limit, route)
        if not rows:
            return []
        readers = _readers(run.campaign, rows)
        _end(run, [row.id for row in rows if row.id not in readers], MessageStatus.CANCELLED, "not_recipient")
        deadlines = _deadlines(run, readers, moment)
        leased = _leased(run, rows, readers, deadlines)
        if leased:
            _take(leased, token, moment, route.gateway)
            count(run.pk, moved(MessageStatus.PENDING, MessageStatus.SENDING, len(leased)))
    return leased


def give_up(token: UUID) -> None:
    """Forget what `token` stood for: its holder has recorded or released everything that it could."""
    Lease.objects.filter(token=token).delete()


def _due_rows(run: Run, moment: datetime, limit: int, route: Route) -> list[_Due]:
    """The longest due messages that the route's gateway may carry, locked until the transaction ends."""
    home = route.sole or (run.campaign.gateway_id or settings.GATEWAY) in route.homes
    due = run.messages.due(moment) if home else run.messages.due(moment).filter(gateway=route.gateway)
    if not route.sole:
        due = due.free_for(route.gateway)
    due = due.select_for_update(skip_locked=True).order_by("due_at", "pk")
    rows = [_Due._make(row) for row in bare_rows(due.values_list(*_Due._fields)[:limit])]
    if route.sole or not rows:
        return rows
    # Asked again when they are locked: an attempt may have been written while the first question was being answered.
    found = run.messages.filter(pk__in=[row.id for row in rows]).free_for(route.gateway)
    free = set(found.values_list("pk", flat=True))
    return [row for row in rows if row.id in free]


def _readers(campaign: Campaign, rows: list[_Due]) -> dict[int, _Reader]:
    """By message, those who may still be written to.

    A query of its own, for in one with the messages PostgreSQL would read the whole directory. Of a message to a single
    phone, or to one that its contact has no more, it asks only that nobody has shut it.
    """
    if campaign.direct:
        phones = {cast("int", row.phone) for row in rows}
        to = {phone: _Reader(phone, "", "", campaign.timezone) for phone in phones - shut(phones)}
        return {row.id: to[row.phone] for row in rows if row.phone in to}
    known = recipients(campaign).cleared().order_by().filter(is_among("id", {row.contact_id for row in rows}))
    columns = _Reader._fields[:-1] if placeholders(campaign.text) <= _CONTACT_FIELDS else _Reader._fields
    found = {row[0]: _Reader(*row[1:]) for row in bare_rows(known.values_list("pk", *columns))}
    readers = {row.id: found[row.contact_id] for row in rows if row.contact_id in found}
    # Frozen for a phone that the contact no longer has.
    former = [row for row in rows if row.phone and row.id in readers and row.phone != readers[row.id].phone]
    closed = shut(cast("int", row.phone) for row in former) if former else set()
    for row in former:
        if row.phone in closed:
            del readers[row.id]
    return readers


def _end(run: Run, ids: list[int], status: MessageStatus, reason: str) -> None:
    """Give up messages that may not leave any more; one that the gateway may have accepted is unknown."""
    if not ids:
        return
    uncertain = Exists(Attempt.objects.filter(message=OuterRef("pk"), uncertain=True))
    doubtful = set(Message.objects.filter(uncertain, pk__in=ids).values_list("pk", flat=True))
    _settle(run, sorted(doubtful), MessageStatus.UNKNOWN, reason)
    _settle(run, [pk for pk in ids if pk not in doubtful], status, reason)


def _settle(run: Run, ids: list[int], status: MessageStatus, reason: str) -> None:
    """Give up messages that were locked as waiting."""
    settled = Message.objects.filter(pk__in=ids).update(status=status, reason=reason, changed_at=now())
    count(run.pk, moved(MessageStatus.PENDING, status, settled))
    messages_changed([run.pk], ids)
    messages_told(ids)


def _deadlines(run: Run, readers: dict[int, _Reader], moment: datetime) -> dict[str, float]:
    """By zone, the moment before which a message must leave: the run's end, or the closing of its window.

    Messages of a zone whose window is closed are put off to its next opening, those of a zone that nobody knows fail;
    such zones have no deadline.
    """
    by_zone: dict[str, list[int]] = defaultdict(list)
    for pk, reader in readers.items():
        by_zone[reader.timezone].append(pk)
    window = run.campaign.window
    if window is None:
        return dict.fromkeys(by_zone, run.deadline.timestamp() - TRAVEL_SECONDS)
    known, deadlines = known_zones(run.campaign, by_zone), {}
    for zone in known:
        if calendar.is_open(window, moment, zone):
            closing = min(run.deadline, calendar.next_closing(window, moment, zone))
            deadlines[zone] = closing.timestamp() - TRAVEL_SECONDS
        else:
            opening = calendar.next_opening(window, moment, zone)
            Message.objects.filter(pk__in=by_zone[zone]).update(due_at=opening)
            messages_told(by_zone[zone])
    unknown = [pk for zone in by_zone.keys() - set(known) for pk in by_zone[zone]]
    _end(run, unknown, MessageStatus.FAILED, "unknown_zone")
    return deadlines


def _leased(run: Run, rows: list[_Due], readers: dict[int, _Reader], deadlines: dict[str, float]) -> list[Leased]:
    """The payloads: as frozen, or rendered for the reader if this is the first attempt; an empty one fails."""
    template, leased_at = run.campaign.text, time.monotonic()
    names = sorted(placeholders(template))
    leased, empty = [], []
    for row in rows:
        reader = readers.get(row.id)
        before = deadlines.get(reader.timezone) if reader else None
        if reader is None or before is None:
            continue
        phone, text, parts = row.phone, row.text, row.parts
        if phone is None:
            phone, (text, parts) = reader.phone, _payload(template, _values(reader, names))
        if not text.strip():
            empty.append(row.id)
            continue
        ids = (row.id, run.pk, run.campaign_id, row.contact_id)
        leased.append(Leased(*ids, phone, text, parts, row.attempts + 1, before, leased_at))
    if empty:
        _settle(run, empty, MessageStatus.FAILED, "empty_text")
    return leased


def _values(reader: _Reader, names: list[str]) -> tuple[object, ...]:
    """What the placeholders of those names are filled with."""
    if _CONTACT_FIELDS.issuperset(names):
        return tuple([getattr(reader, name) for name in names])
    phone, first_name, last_name, _, attributes = reader
    known = values_of(first_name=first_name, last_name=last_name, phone=phone, attributes=json.loads(attributes))
    return tuple([known.get(name) for name in names])


@lru_cache(maxsize=10_000)  # people share first names, so texts repeat
def _payload(template: str, values: tuple[object, ...]) -> tuple[str, int]:
    """The text for readers with those values, in the order of the placeholders' names, and its parts."""
    text = render(template, dict(zip(sorted(placeholders(template)), values, strict=True)))
    return text, measure(text).parts


def _take(leased: list[Leased], token: UUID, moment: datetime, gateway: str) -> None:
    """Mark the batch as ours and freeze its payloads: one statement for the first attempts, one for the others."""
    until = moment + timedelta(seconds=lease_seconds())
    Lease.objects.create(token=token, until=until, message_ids=[message.id for message in leased])
    again = [message.id for message in leased if message.attempts > 1]
    if again:
        Message.objects.filter(pk__in=again).update(
            status=MessageStatus.SENDING,
            lease_token=token,
            gateway=gateway,
            attempts=F("attempts") + 1,
            leases=F("leases") + 1,
        )
    first = [message for message in leased if message.attempts == 1]
    if first:
        look_up()
        execute(
            f"WITH {table('payload', _PAYLOAD)} "  # noqa: S608
            f"UPDATE {TABLE} SET status = 'sending', lease_token = %s, gateway_id = %s, "
            "attempts = attempts + 1, leases = leases + 1, "
            "phone = payload.phone, text = payload.text, parts = payload.parts "
            f"FROM payload WHERE {TABLE}.id = payload.id",
            [*table_rows((m.id, m.phone, m.text, m.parts) for m in first), uuid(token), gateway],
        )
