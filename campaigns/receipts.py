"""Receipts: what gateways tell of messages that they have accepted.

They are stored as they come, for that is quick, and applied by a worker in batches. One that comes before we have
written down that its message was sent waits for that; of several for a message the first counts.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import Min

from campaigns.counters import count, count_hour, count_minute
from campaigns.events import messages_changed, messages_told
from campaigns.gateways.base import Receipt
from campaigns.meters import GATEWAY_MESSAGES
from campaigns.models import Message, WaitingReceipt
from campaigns.states import OPEN, MessageStatus
from project.clock import now
from project.queue import enqueue

_APPLY: Final = "campaigns.tasks.apply_receipts"
_BATCH: Final = 2000
_SECONDS: Final = 2.0
# So that those of a burst are applied together.
_GATHERED: Final = timedelta(seconds=0.2)
_FIRST_WAIT: Final = timedelta(seconds=1)
_KEPT: Final = timedelta(days=3)
# A receipt also settles what we had to give up as unknown: the gateway has accepted it.
_SETTLED: Final = (MessageStatus.SENT, MessageStatus.UNKNOWN)


@transaction.atomic
def receipts_take(gateway: str, receipts: Iterable[Receipt]) -> int:
    """Store receipts of a gateway, and return how many."""
    rows = WaitingReceipt.objects.bulk_create(
        WaitingReceipt(gateway=gateway, message_id=row.message_id, delivered=row.delivered, reason=row.reason)
        for row in receipts
    )
    if rows:
        enqueue(_APPLY, due=now() + _GATHERED)
    return len(rows)


def receipts_apply() -> None:
    """Apply what is due, for a moment; what is left, or waits, is left to another hint."""
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline and _apply_batch():
        pass
    hint_waiting()


def hint_waiting() -> None:
    """Ask for a look when the next receipt is due."""
    due: datetime | None = WaitingReceipt.objects.aggregate(first=Min("due_at"))["first"]
    if due is not None:
        enqueue(_APPLY, due=max(due, now()))


@transaction.atomic
def _apply_batch() -> bool:
    """Return whether there may be more."""
    due = WaitingReceipt.objects.filter(due_at__lte=now()).order_by("pk").select_for_update(skip_locked=True)
    rows = list(due[:_BATCH])
    first: dict[int, WaitingReceipt] = {}
    for row in rows:
        first.setdefault(row.message_id, row)
    settled = _settle(first)
    early = _early(first.keys() - settled)
    again = [row for row in rows if row.message_id in early and now() - row.received_at < _KEPT]
    for row in again:
        row.due_at = now() + max(_FIRST_WAIT, now() - row.received_at)
    WaitingReceipt.objects.bulk_update(again, ["due_at"])
    WaitingReceipt.objects.filter(pk__in={row.pk for row in rows} - {row.pk for row in again}).delete()
    return len(rows) == _BATCH


def _settle(receipts: dict[int, WaitingReceipt]) -> set[int]:
    """Write what became of the messages that await it, and return their ids."""
    moment = now()
    awaiting = Message.objects.filter(pk__in=receipts, status__in=_SETTLED).order_by("pk").select_for_update()
    found = list(awaiting.values_list("pk", "run_id", "status", "parts"))
    ends: dict[tuple[str, str], list[int]] = defaultdict(list)
    changes: dict[int, Counter[str]] = defaultdict(Counter)
    for pk, run_id, before, parts in found:
        row = receipts[pk]
        status = (MessageStatus.DELIVERED if row.delivered else MessageStatus.UNDELIVERED).value
        ends[status, row.reason].append(pk)
        changes[run_id].update({before: -1, status: 1, "parts": parts if before == MessageStatus.UNKNOWN else 0})
    for (status, reason), ids in ends.items():
        Message.objects.filter(pk__in=ids).learned(status=status, reason=reason)
    for run_id in sorted(changes):
        count(run_id, changes[run_id])
        delivered, undelivered = (changes[run_id][end] for end in (MessageStatus.DELIVERED, MessageStatus.UNDELIVERED))
        count_minute(run_id, moment, delivered=delivered, undelivered=undelivered)
    ids = [pk for pk, *_ in found]
    messages_changed(changes.keys(), ids)
    messages_told(ids)
    _count_by_gateway((receipts[pk] for pk in ids), moment)
    return set(ids)


def _count_by_gateway(receipts: Iterable[WaitingReceipt], moment: datetime) -> None:
    """Count the ends to which each gateway's receipts brought messages: as a metric, and for its page."""
    for (gateway, delivered), number in sorted(Counter((row.gateway, row.delivered) for row in receipts).items()):
        state = MessageStatus.DELIVERED if delivered else MessageStatus.UNDELIVERED
        GATEWAY_MESSAGES.add(gateway, state.value, number=number)
        count_hour(gateway, moment, **{state.value: number})


def _early(ids: Iterable[int]) -> set[int]:
    """Those of the messages that may still come to await a receipt."""
    return set(Message.objects.filter(pk__in=ids, status__in=(*OPEN, *_SETTLED)).values_list("pk", flat=True))
