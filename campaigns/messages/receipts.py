"""Receipts: what gateways report about messages that they have accepted.

They are stored at once, which is fast, and a worker applies them in batches. A receipt may come before its message is
recorded as sent; then it waits. A receipt counts only for messages that its gateway got last.

If a message has several receipts, the first counts. A message of several parts is undelivered if any receipt says so,
in whatever order they come.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Min, Q

from campaigns.costs import recharge
from campaigns.counters import count, count_ended, count_hour, count_minutes, count_not_delivered, moved
from campaigns.gateways.drivers.base import Receipt
from campaigns.metrics import GATEWAY_MESSAGES
from campaigns.models import Message, WaitingReceipt
from campaigns.states import OPEN, MessageStatus
from campaigns.webhook_events import log_messages, messages_changed
from project.core.clock import now
from project.core.money import to_micros
from project.queue.tasks import task

_BATCH: Final = 2000
_MAX_SECONDS: Final = 2.0
# Receipts of a burst are applied together.
_BURST_WAIT: Final = timedelta(seconds=0.2)
_FIRST_WAIT: Final = timedelta(seconds=1)
_MAX_AGE: Final = timedelta(days=3)
# A receipt also resolves an unknown message: the gateway has accepted it.
_AWAITING: Final = (MessageStatus.SENT, MessageStatus.UNKNOWN)


class _Awaiting(NamedTuple):
    """A message that may get a receipt."""

    pk: int
    run_id: int
    status: str
    parts: int
    gateway_id: str | None


@transaction.atomic
def receipts_store(gateway: str, receipts: Iterable[Receipt]) -> int:
    """Store receipts of a gateway; return how many."""
    rows = WaitingReceipt.objects.bulk_create(
        WaitingReceipt(
            gateway=gateway,
            message_id=row.message_id,
            delivered=row.delivered,
            reason=row.reason,
            cost=None if row.price is None else to_micros(row.price),
        )
        for row in receipts
        if row.message_id is not None
    )
    if rows:
        apply_receipts.enqueue(due=now() + _BURST_WAIT)
    return len(rows)


@task("campaigns.tasks.apply_receipts")
def apply_receipts() -> None:
    """Apply due receipts for a limited time, and leave a hint for the rest."""
    deadline = time.monotonic() + _MAX_SECONDS
    while time.monotonic() < deadline and _apply_batch():
        pass
    hint_waiting()


def hint_waiting() -> None:
    """Leave a hint for when the next receipt is due."""
    due: datetime | None = WaitingReceipt.objects.aggregate(first=Min("due_at"))["first"]
    if due is not None:
        apply_receipts.enqueue(due=max(due, now()))


@transaction.atomic
def _apply_batch() -> bool:
    """Apply a batch of due receipts; return whether there may be more."""
    due = WaitingReceipt.objects.filter(due_at__lte=now()).order_by("pk").select_for_update(skip_locked=True)
    rows = list(due[:_BATCH])
    applied = _apply(rows)
    too_early = _not_yet_sent(row for row in rows if row.message_id not in applied)
    postponed = [row for row in too_early if now() - row.received_at < _MAX_AGE]
    for row in postponed:
        row.due_at = now() + max(_FIRST_WAIT, now() - row.received_at)
    WaitingReceipt.objects.bulk_update(postponed, ["due_at"])
    WaitingReceipt.objects.filter(pk__in={row.pk for row in rows} - {row.pk for row in postponed}).delete()
    return len(rows) == _BATCH


def _apply(rows: Iterable[WaitingReceipt]) -> set[int]:
    """Write the outcomes of messages that await one of these receipts; return the ids of these messages."""
    moment, chosen = now(), _chosen(rows)
    by_outcome: dict[tuple[str, str], list[int]] = defaultdict(list)
    changes: dict[int, Counter[str]] = defaultdict(Counter)
    ends: dict[int, Counter[str]] = defaultdict(Counter)
    for message, receipt in chosen:
        status = (MessageStatus.DELIVERED if receipt.delivered else MessageStatus.UNDELIVERED).value
        by_outcome[status, receipt.reason].append(message.pk)
        ends[message.run_id][status] += 1
        accepted = message.parts if message.status == MessageStatus.UNKNOWN else 0
        changes[message.run_id].update({**moved(message.status, status, 1), "parts": accepted})
    count_ended(Message.objects.filter(pk__in=_ids(chosen, MessageStatus.UNKNOWN)), "sent")
    count_not_delivered(Message.objects.filter(pk__in=_ids(chosen, MessageStatus.DELIVERED)))
    for (status, reason), ids in by_outcome.items():
        Message.objects.filter(pk__in=ids).update_ended(moment, status=status, reason=reason)
    ids = [message.pk for message, _ in chosen]
    messages_changed(changes.keys(), ids)
    log_messages(ids)
    count_minutes({(run_id, moment): numbers for run_id, numbers in ends.items()})
    for run_id, change in recharge({message.pk: row.cost for message, row in chosen if row.cost is not None}).items():
        changes[run_id].update(change)
    count(changes)
    _count_by_gateway((receipt for _, receipt in chosen), moment)
    return set(ids)


def _ids(chosen: Iterable[tuple[_Awaiting, WaitingReceipt]], status: MessageStatus) -> list[int]:
    return [message.pk for message, _ in chosen if message.status == status]


def _chosen(rows: Iterable[WaitingReceipt]) -> list[tuple[_Awaiting, WaitingReceipt]]:
    """The messages that await a receipt, locked, each with the one of `rows` that counts."""
    receipts: dict[tuple[int, str], list[WaitingReceipt]] = defaultdict(list)
    for row in rows:
        receipts[row.message_id, row.gateway].append(row)
    awaiting = Q(status__in=_AWAITING) | Q(status=MessageStatus.DELIVERED, parts__gt=1)
    found = Message.objects.filter(awaiting, pk__in={message_id for message_id, _ in receipts}).order_by("pk")
    chosen = []
    for message in map(_Awaiting._make, found.select_for_update().values_list(*_Awaiting._fields)):
        candidates = receipts[message.pk, message.gateway_id or settings.GATEWAY]
        undelivered = [row for row in candidates if not row.delivered]
        if message.parts > 1 and undelivered:
            chosen.append((message, undelivered[0]))
        elif candidates and message.status in _AWAITING:
            chosen.append((message, candidates[0]))
    return chosen


def _count_by_gateway(receipts: Iterable[WaitingReceipt], moment: datetime) -> None:
    """Count each gateway's receipts by outcome, for the metrics and for its page."""
    for (gateway, delivered), number in sorted(Counter((row.gateway, row.delivered) for row in receipts).items()):
        state = MessageStatus.DELIVERED if delivered else MessageStatus.UNDELIVERED
        GATEWAY_MESSAGES.add(gateway, state.value, number=number)
        count_hour(gateway, moment, **{state.value: number})


def _not_yet_sent(rows: Iterable[WaitingReceipt]) -> list[WaitingReceipt]:
    """The receipts that came before their gateway's message was recorded as sent."""
    by_message: dict[int, list[WaitingReceipt]] = defaultdict(list)
    for row in rows:
        by_message[row.message_id].append(row)
    found = Message.objects.filter(pk__in=by_message, status__in=(*OPEN, *_AWAITING))
    return [
        row
        for pk, status, gateway in found.values_list("pk", "status", "gateway_id")
        for row in by_message[pk]
        if status in OPEN or row.gateway == (gateway or settings.GATEWAY)
    ]
