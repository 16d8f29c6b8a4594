"""Leasing: take a batch of due messages in one short transaction, and freeze their payloads at the first attempt.

Only one worker gets a message (`FOR UPDATE SKIP LOCKED` where the database has it). A lease outlives its send session
by more than one request, so a healthy worker never loses one.
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
from django.db.models import F

from campaigns.counters import count, moved
from campaigns.gateways.routing import Route
from campaigns.models import Campaign, Lease, Message, Run
from campaigns.planning import recurrence
from campaigns.planning.recipients import known_zones, recipients
from campaigns.planning.settle import settle
from campaigns.sending.sql import TABLE, bare_rows, table, uuid
from campaigns.states import NOT_RECIPIENT, CampaignStatus, MessageStatus
from campaigns.text import CONTACT_FIELDS, measure, placeholders, render, value_of, values_of
from campaigns.webhook_events import log_messages
from directory.suppression.services import blocked_phones
from project.core.clock import now
from project.core.sql import execute, is_among, prefer_index_scans, table_rows

SESSION_SECONDS = 20.0
# A request that starts later would reach the gateway after the deadline.
NETWORK_DELAY_SECONDS = 0.1
_MARGIN_SECONDS = 30.0
_PAYLOAD = ("id", "phone", "text", "parts")


class Leased(NamedTuple):
    """A message that a worker holds: its frozen payload, and the moment before which it must be sent."""

    id: int
    run_id: int
    campaign_id: int
    contact_id: int | None
    phone: int
    text: str
    parts: int
    attempts: int
    send_before: float
    """Seconds since the epoch, by the database's clock."""
    leased_at: float
    """When the lease began to read, by the monotonic clock of the worker that holds it."""


class _Due(NamedTuple):
    """A due message. Its payload is empty until the first attempt."""

    id: int
    contact_id: int | None
    attempts: int
    phone: int | None
    text: str
    parts: int


class _Recipient(NamedTuple):
    """The recipient of a message. `attributes` is JSON, and is read only if the text uses attributes."""

    phone: int
    first_name: str
    last_name: str
    timezone: str
    attributes: str = "{}"


def lease_seconds() -> float:
    """How long a lease lasts: a whole send session, one request begun at its end, and time to record."""
    return SESSION_SECONDS + settings.GATEWAY_TIMEOUT + _MARGIN_SECONDS


def lease(run: Run, token: UUID, limit: int, route: Route) -> list[Leased]:
    """Lease up to `limit` due messages of `run` that the route's gateway may send to the holder of `token`.

    Messages whose contact is no longer a recipient are cancelled. Messages whose window is closed are postponed to its
    next opening. So an empty list does not mean that nothing was due.
    """
    leased_at = time.monotonic()
    with transaction.atomic():
        moment = now()
        # The sender read the campaign up to a second ago; it may have changed since.
        run.campaign.refresh_from_db()
        if run.campaign.status != CampaignStatus.RUNNING or moment >= run.deadline:
            return []
        rows = _due_rows(run, moment, limit, route)
        if not rows:
            return []
        by_message = _recipients_of(run.campaign, rows)
        settle(run, [row.id for row in rows if row.id not in by_message], MessageStatus.CANCELLED, NOT_RECIPIENT)
        deadlines = _deadlines(run, by_message, moment)
        leased = _leased(run, rows, by_message, deadlines, leased_at=leased_at, max_parts=route.max_parts)
        if leased:
            _mark_leased(leased, token, moment, route.gateway)
            count(run.pk, moved(MessageStatus.PENDING, MessageStatus.SENDING, len(leased)))
    return leased


def delete_leases(token: UUID) -> None:
    """Delete the leases of `token`, whose holder has recorded or released all their messages."""
    Lease.objects.filter(token=token).delete()


def _due_rows(run: Run, moment: datetime, limit: int, route: Route) -> list[_Due]:
    """The messages due longest that the route's gateway may send, locked until the transaction ends."""
    is_home = route.sole or (run.campaign.gateway_id or settings.GATEWAY) in route.served
    due = run.messages.due(moment) if is_home else run.messages.due(moment).filter(gateway=route.gateway)
    if not route.sole:
        due = due.free_for(route.gateway)
    due = due.select_for_update(skip_locked=True).order_by("due_at", "pk")
    rows = [_Due._make(row) for row in bare_rows(due.values_list(*_Due._fields)[:limit])]
    if route.sole or not rows:
        return rows
    # Checked again under the lock: an attempt may have been written while the first query ran.
    found = run.messages.filter(pk__in=[row.id for row in rows]).free_for(route.gateway)
    free = set(found.values_list("pk", flat=True))
    return [row for row in rows if row.id in free]


def _recipients_of(campaign: Campaign, rows: list[_Due]) -> dict[int, _Recipient]:
    """The recipients that may still get their message, by message id.

    This is a separate query, because in a join with the messages PostgreSQL would read the whole directory. For a
    transactional message, or a phone that the contact no longer has, it only checks that the phone is not blocked.
    """
    if campaign.transactional:
        phones = {cast("int", row.phone) for row in rows}
        by_phone = {phone: _Recipient(phone, "", "", campaign.timezone) for phone in phones - blocked_phones(phones)}
        return {row.id: by_phone[row.phone] for row in rows if row.phone in by_phone}
    known = recipients(campaign).not_suppressed().order_by().filter(is_among("id", {row.contact_id for row in rows}))
    columns = _Recipient._fields[:-1] if placeholders(campaign.text) <= CONTACT_FIELDS else _Recipient._fields
    found = {row[0]: _Recipient(*row[1:]) for row in bare_rows(known.values_list("pk", *columns))}
    by_message = {row.id: found[row.contact_id] for row in rows if row.contact_id in found}
    # Their frozen phone is no longer the contact's phone.
    moved_rows = [row for row in rows if row.phone and row.id in by_message and row.phone != by_message[row.id].phone]
    blocked = blocked_phones(cast("int", row.phone) for row in moved_rows) if moved_rows else set()
    for row in moved_rows:
        if row.phone in blocked:
            del by_message[row.id]
    return by_message


def _deadlines(run: Run, by_message: dict[int, _Recipient], moment: datetime) -> dict[str, float]:
    """The moment before which messages must be sent, by time zone: the run's end, or the end of its window.

    Messages in a zone whose window is closed are postponed to its next opening. Messages in an unknown zone fail. Such
    zones have no deadline.
    """
    by_zone: dict[str, list[int]] = defaultdict(list)
    for pk, recipient in by_message.items():
        by_zone[recipient.timezone].append(pk)
    window = run.campaign.hours
    if window is None:
        return dict.fromkeys(by_zone, run.deadline.timestamp() - NETWORK_DELAY_SECONDS)
    known, deadlines = known_zones(run.campaign, by_zone), {}
    for zone in known:
        if recurrence.is_open(window, moment, zone):
            closing = min(run.deadline, recurrence.next_closing(window, moment, zone))
            deadlines[zone] = closing.timestamp() - NETWORK_DELAY_SECONDS
        else:
            opening = recurrence.next_opening(window, moment, zone)
            Message.objects.filter(pk__in=by_zone[zone]).update(due_at=opening)
            log_messages(by_zone[zone])
    unknown = [pk for zone in by_zone.keys() - set(known) for pk in by_zone[zone]]
    settle(run, unknown, MessageStatus.FAILED, "unknown_zone")
    return deadlines


def _leased(
    run: Run,
    rows: list[_Due],
    by_message: dict[int, _Recipient],
    deadlines: dict[str, float],
    *,
    leased_at: float,
    max_parts: int | None,
) -> list[Leased]:
    """The messages with their payloads: as frozen, or rendered if this is the first attempt.

    A text that is empty, or has more parts than the gateway supports, fails.
    """
    template = run.campaign.text
    names = sorted(placeholders(template))
    leased: list[Leased] = []
    unsendable: dict[str, list[int]] = {"empty_text": [], "too_many_parts": []}
    for row in rows:
        recipient = by_message.get(row.id)
        deadline = deadlines.get(recipient.timezone) if recipient else None
        if recipient is None or deadline is None:
            continue
        phone, text, parts = row.phone, row.text, row.parts
        if phone is None:
            phone, (text, parts) = recipient.phone, _payload(template, _values(recipient, names))
        if not text.strip():
            unsendable["empty_text"].append(row.id)
            continue
        if max_parts is not None and parts > max_parts:
            unsendable["too_many_parts"].append(row.id)
            continue
        owners = (row.id, run.pk, run.campaign_id, row.contact_id)
        leased.append(Leased(*owners, phone, text, parts, row.attempts + 1, deadline, leased_at))
    for reason, ids in unsendable.items():
        if ids:
            settle(run, ids, MessageStatus.FAILED, reason)
    return leased


def _values(recipient: _Recipient, names: list[str]) -> tuple[object, ...]:
    """The values of these placeholders for this recipient."""
    if CONTACT_FIELDS.issuperset(names):
        return tuple([getattr(recipient, name) for name in names])
    phone, first_name, last_name, _, attributes = recipient
    known = values_of(first_name=first_name, last_name=last_name, phone=phone, attributes=json.loads(attributes))
    return tuple([value_of(known, name) for name in names])


@lru_cache(maxsize=10_000)  # many recipients share a first name, so texts repeat
def _payload(template: str, values: tuple[object, ...]) -> tuple[str, int]:
    """The rendered text and its parts; `values` are in the order of the sorted placeholder names."""
    text = render(template, dict(zip(sorted(placeholders(template)), values, strict=True)))
    return text, measure(text).parts


def _mark_leased(leased: list[Leased], token: UUID, moment: datetime, gateway: str) -> None:
    """Mark the batch as leased and freeze its payloads: one statement for first attempts, one for retries."""
    until = moment + timedelta(seconds=lease_seconds())
    Lease.objects.create(token=token, until=until, message_ids=[message.id for message in leased])
    retries = [message.id for message in leased if message.attempts > 1]
    if retries:
        Message.objects.filter(pk__in=retries).update(
            status=MessageStatus.SENDING,
            lease_token=token,
            gateway=gateway,
            attempts=F("attempts") + 1,
            leases=F("leases") + 1,
        )
    first = [message for message in leased if message.attempts == 1]
    if first:
        prefer_index_scans()
        execute(
            f"WITH {table('payload', _PAYLOAD)} "  # noqa: S608
            f"UPDATE {TABLE} SET status = 'sending', lease_token = %s, gateway_id = %s, "
            "attempts = attempts + 1, leases = leases + 1, "
            "phone = payload.phone, text = payload.text, parts = payload.parts "
            f"FROM payload WHERE {TABLE}.id = payload.id",
            [*table_rows((m.id, m.phone, m.text, m.parts) for m in first), uuid(token), gateway],
        )
