"""Leasing: take a batch of due messages in one short transaction, with payloads frozen at their first attempt.

A message is taken by one worker only (`FOR UPDATE SKIP LOCKED` where the database has it). A lease outlives the slice
that took it by more than one request, so a healthy worker never loses one.
"""

import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils.timezone import now

from campaigns import calendar
from campaigns.audience import still_recipient
from campaigns.counters import count, moved
from campaigns.models import Message, Run
from campaigns.sending.sql import TABLE, fenced, stamp, uuid
from campaigns.states import CampaignStatus, MessageStatus
from campaigns.text import measure, render, values_of

SLICE_SECONDS = 20.0
_MARGIN_SECONDS = 30.0
# SQLite allows 32 766 parameters a statement, and a first attempt takes four.
MAX_BATCH = 2000

_FIELDS = ("pk", "contact_id", "attempts", "phone", "text", "parts")
_CONTACT = ("contact__phone", "contact__first_name", "contact__last_name", "contact__timezone", "contact__attributes")


@dataclass(slots=True)
class Leased:
    """A message in a worker's hands: its frozen payload, and the last moment at which it may leave."""

    id: int
    run_id: int
    phone: int
    text: str
    parts: int
    attempts: int
    leave_before: datetime
    leased_at: float
    """By the monotonic clock of the worker that holds it."""


def lease_seconds() -> float:
    """How long a lease holds: a whole slice, one request that starts at its end, and time to record."""
    return SLICE_SECONDS + settings.GATEWAY_TIMEOUT + _MARGIN_SECONDS


def lease(run: Run, token: UUID, limit: int) -> list[Leased]:
    """Take up to `limit` due messages of `run` for the holder of `token`.

    Messages whose contact is no longer a recipient are cancelled on the way, those whose window is closed are put off
    to its next opening; so an empty list does not mean that nothing was due.
    """
    with transaction.atomic():
        moment = now()
        # A sender's view of a campaign may be a tenth of a second old, and much may have been changed in that time.
        run.campaign.refresh_from_db()
        if run.campaign.status != CampaignStatus.RUNNING:
            return []
        rows = _due_rows(run, moment, min(limit, MAX_BATCH))
        if not rows:
            return []
        _cancel(run, [row["pk"] for row in rows if not row["wanted"]])
        wanted = _put_off(run, [row for row in rows if row["wanted"]], moment)
        deadlines = _deadlines(run, wanted, moment)
        leased = [_leased(run, row, deadlines[row["contact__timezone"]]) for row in wanted]
        _take(leased, token, moment)
        count(run.pk, moved(MessageStatus.PENDING, MessageStatus.SENDING, len(leased)))
    return leased


def _due_rows(run: Run, moment: datetime, limit: int) -> list[dict[str, Any]]:
    """The longest due messages with what is needed to render them, locked until the transaction ends."""
    due = run.messages.due(moment).select_for_update(skip_locked=True, of=("self",)).order_by("due_at", "pk")
    return list(due.values(*_FIELDS, *_CONTACT, wanted=still_recipient(run.campaign))[:limit])


def _cancel(run: Run, ids: list[int]) -> None:
    """Give up messages to contacts that opted out, were deactivated or no longer match."""
    if ids:
        cancelled = Message.objects.filter(pk__in=ids).update(
            status=MessageStatus.CANCELLED, reason="not_recipient", changed_at=now()
        )
        count(run.pk, moved(MessageStatus.PENDING, MessageStatus.CANCELLED, cancelled))


def _put_off(run: Run, rows: list[dict[str, Any]], moment: datetime) -> list[dict[str, Any]]:
    """Move messages whose local window is closed to its next opening, and return the others."""
    window = run.campaign.window
    if window is None:
        return rows
    by_zone: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_zone[row["contact__timezone"]].append(row)
    open_rows = []
    for zone, members in by_zone.items():
        if calendar.is_open(window, moment, zone):
            open_rows += members
        else:
            opening = calendar.next_opening(window, moment, zone)
            Message.objects.filter(pk__in=[row["pk"] for row in members]).update(due_at=opening)
    return open_rows


def _deadlines(run: Run, rows: list[dict[str, Any]], moment: datetime) -> dict[str, datetime]:
    """By zone, the moment before which a message must leave: the run's end, or the closing of its window."""
    zones, window = {row["contact__timezone"] for row in rows}, run.campaign.window
    if window is None:
        return dict.fromkeys(zones, run.deadline)
    return {zone: min(run.deadline, calendar.next_closing(window, moment, zone)) for zone in zones}


def _leased(run: Run, row: dict[str, Any], leave_before: datetime) -> Leased:
    """The payload: as frozen, or rendered from the contact if this is the first attempt."""
    phone, text, parts = row["phone"], row["text"], row["parts"]
    if phone is None:
        phone, text = row["contact__phone"], _rendered(run.campaign.text, row)
        parts = measure(text).parts
    return Leased(row["pk"], run.pk, phone, text, parts, row["attempts"] + 1, leave_before, time.monotonic())


def _rendered(text: str, row: dict[str, Any]) -> str:
    """The campaign's text for the contact of `row`."""
    if "{" not in text:
        return text
    fields = ("first_name", "last_name", "phone", "attributes")
    return render(text, values_of(**{name: row[f"contact__{name}"] for name in fields}))


def _take(leased: list[Leased], token: UUID, moment: datetime) -> None:
    """Mark the batch as ours and freeze its payloads: one statement for the first attempts, one for the others."""
    until = moment + timedelta(seconds=lease_seconds())
    again = [message.id for message in leased if message.attempts > 1]
    if again:
        Message.objects.filter(pk__in=again).update(
            status=MessageStatus.SENDING,
            lease_token=token,
            leased_until=until,
            attempts=F("attempts") + 1,
            leases=F("leases") + 1,
        )
    first = [message for message in leased if message.attempts == 1]
    if first:
        _freeze_and_take(first, token, until)


def _freeze_and_take(first: list[Leased], token: UUID, until: datetime) -> None:
    values = ", ".join(["(%s, %s, %s, %s)"] * len(first))
    payloads = (item for m in first for item in (m.id, m.phone, m.text, m.parts))
    fenced(
        f"WITH payload (id, phone, text, parts) AS (VALUES {values}) "  # noqa: S608
        f"UPDATE {TABLE} SET status = 'sending', lease_token = %s, leased_until = %s, "
        "attempts = attempts + 1, leases = leases + 1, "
        "phone = payload.phone, text = payload.text, parts = payload.parts "
        f"FROM payload WHERE {TABLE}.id = payload.id RETURNING {TABLE}.id",
        [*payloads, uuid(token), stamp(until)],
    )
