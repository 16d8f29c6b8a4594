"""Leasing: take a batch of due messages in one short transaction, and freeze their payloads at the first attempt.

Only one worker gets a message (`FOR UPDATE SKIP LOCKED` where the database has it). A lease outlives its send session
by more than one request, so a healthy worker never loses one. The number of statements does not grow with the number of
runs: with a database at a distance each of them costs a round trip.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F

from campaigns.counters import count, moved
from campaigns.gateways.routing import Route
from campaigns.models import Campaign, Lease, Message, MessageQuerySet, Run
from campaigns.planning.settle import end
from campaigns.sending.budgets import Budgets
from campaigns.sending.decisions import Decisions, Due, Leased, recipients_of
from campaigns.sending.sql import TABLE, first_of_runs, table, uuid
from campaigns.states import CampaignStatus, MessageStatus
from campaigns.webhook_events import log_messages
from project.core.clock import now
from project.core.sql import execute, prefer_index_scans, table_rows

SESSION_SECONDS = 20.0
_MARGIN_SECONDS = 30.0
_PAYLOAD = ("id", "phone", "text", "parts", "cost", "sender")


def lease_seconds() -> float:
    """How long a lease lasts: a whole send session, one request begun at its end, and time to record."""
    return SESSION_SECONDS + settings.GATEWAY_TIMEOUT + _MARGIN_SECONDS


def lease(numbers: Mapping[int, int], token: UUID, route: Route) -> list[Leased]:
    """Lease due messages that the route's gateway may send to the holder of `token`: `numbers[run id]` at most.

    Messages whose contact is no longer a recipient are cancelled. Messages whose window is closed are postponed to its
    next opening. So an empty list does not mean that nothing was due.
    """
    leased_at = time.monotonic()
    with transaction.atomic():
        moment = now()
        runs = _running(numbers, moment)
        budgets = Budgets.lock(*_payers(runs.values()))
        if budgets:
            # They may have changed while this waited for the locks.
            runs = _running(numbers, moment)
        prefer_index_scans()
        rows = _due_rows(runs, numbers, moment, route)
        if not rows:
            return []
        by_message, decisions = recipients_of(runs, rows), Decisions(moment, leased_at, route, budgets)
        by_run: dict[int, list[Due]] = defaultdict(list)
        for row in rows:
            by_run[row.run_id].append(row)
        for run_id, due in by_run.items():
            decisions.add(runs[run_id], due, by_message)
        _write(decisions, token, route.gateway)
        budgets.pause_exhausted(moment)
    return decisions.leased


def delete_leases(token: UUID) -> None:
    """Delete the leases of `token`, whose holder has recorded or released all their messages."""
    Lease.objects.filter(token=token).delete()


def _running(numbers: Mapping[int, int], moment: datetime) -> dict[int, Run]:
    """The runs that may send, by id. The sender read them up to a second ago; they may have changed since."""
    running = Run.objects.filter(pk__in=numbers, campaign__status=CampaignStatus.RUNNING)
    runs = running.select_related("campaign").annotate(monthly_budget=F("campaign__owner__monthly_budget"))
    return {run.pk: run for run in runs if moment < run.deadline}


def _payers(runs: Collection[Run]) -> tuple[list[Campaign], set[int]]:
    """The campaigns of these runs, and the ids of their owners with a monthly budget."""
    owners = {run.campaign.owner_id for run in runs if run.monthly_budget is not None}  # type: ignore[attr-defined]
    return [run.campaign for run in runs], owners


def _due_rows(runs: Mapping[int, Run], numbers: Mapping[int, int], moment: datetime, route: Route) -> list[Due]:
    """The messages due longest that the route's gateway may send, locked until the transaction ends."""
    due = Message.objects.due(moment).order_by("due_at", "pk")
    if route.sole:
        return _first(due, {run_id: numbers[run_id] for run_id in runs})
    others = {run_id: run.campaign.gateway_id or settings.GATEWAY for run_id, run in runs.items() if not run.routed}
    home = {run_id: numbers[run_id] for run_id, gateway in others.items() if gateway in route.served}
    free = due.free_for(route.gateway)
    rows = _first(free, home)
    rows += _first(due.filter(gateway=route.gateway), {run_id: numbers[run_id] for run_id in others.keys() - home})
    rows += _first_carried(due, {run_id: numbers[run_id] for run_id, run in runs.items() if run.routed}, route)
    # Checked again under the lock: an attempt may have been written while the first query ran.
    found = Message.objects.filter(pk__in=[row.id for row in rows]).free_for(route.gateway)
    still_free = set(found.values_list("pk", flat=True)) if rows else set()
    return [row for row in rows if row.id in still_free]


def _first_carried(due: MessageQuerySet, numbers: Mapping[int, int], route: Route) -> list[Due]:
    """The first messages of routed runs that the route's gateway may send."""
    rows: list[Due] = []
    for carried in due.carried_by(route) if numbers else ():
        found = Counter(row.run_id for row in rows)
        missing = {run_id: number - found[run_id] for run_id, number in numbers.items() if number > found[run_id]}
        rows += _first(carried, missing)
    return rows


def _first(due: MessageQuerySet, numbers: Mapping[int, int]) -> list[Due]:
    return [Due._make(row) for row in first_of_runs(due, Due._fields, numbers)]


def _write(decisions: Decisions, token: UUID, gateway: str) -> None:
    """Write what was decided."""
    if decisions.leased:
        _mark_leased(decisions.leased, token, decisions.moment, gateway)
    for gateway_name, ids in decisions.rerouted.items():
        Message.objects.filter(pk__in=ids).update(route=gateway_name)
    for due_at, ids in decisions.postponed.items():
        Message.objects.filter(pk__in=ids).update(due_at=due_at)
        log_messages(ids)
    changes: dict[int, Counter[str]] = defaultdict(Counter)
    for (status, reason), by_run in decisions.ended.items():
        for run_id, ended in end(by_run, status, reason).items():
            changes[run_id].update(ended)
    for run_id, number in Counter(message.run_id for message in decisions.leased).items():
        changes[run_id].update(moved(MessageStatus.PENDING, MessageStatus.SENDING, number))
    for message in decisions.leased:
        changes[message.run_id]["reserved_cost"] += message.cost or 0
    count(changes)


def _mark_leased(leased: list[Leased], token: UUID, moment: datetime, gateway: str) -> None:
    """Mark the batch as leased, with its prices, and freeze its payloads: a retry has them already."""
    until = moment + timedelta(seconds=lease_seconds())
    Lease.objects.create(token=token, until=until, message_ids=[message.id for message in leased])
    rows = ((m.id, m.phone, m.text, m.parts, m.cost, m.sender or None) for m in leased)
    execute(
        f"WITH {table('payload', _PAYLOAD)} "  # noqa: S608
        f"UPDATE {TABLE} SET status = 'sending', lease_token = %s, gateway_id = %s, "
        "attempts = attempts + 1, leases = leases + 1, "
        "phone = payload.phone, text = payload.text, parts = payload.parts, cost = payload.cost, "
        "sender = payload.sender "
        f"FROM payload WHERE {TABLE}.id = payload.id",
        [*table_rows(rows), uuid(token), gateway],
    )
