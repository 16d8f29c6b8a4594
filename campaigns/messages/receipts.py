"""Receipts: what gateways report about messages that they have accepted.

They are stored at once, which is fast, and a worker applies them in batches. A receipt may come before its message is
recorded as sent, and so before the provider's id of it is known; then it waits. A receipt counts only for messages that
its gateway got last.

If a message has several receipts, the first counts. A message of several parts is undelivered if any receipt says so,
in whatever order they come. If each part has an id of its own, it is delivered when all of them are.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Min, Q

from campaigns.costs import recharge
from campaigns.counters import count, count_ended, count_hour, count_minutes, count_not_delivered, moved
from campaigns.gateways.protocol import Receipt
from campaigns.messages.provider_ids import KnownId, find_provider_ids, incomplete, is_storable, mark_parts
from campaigns.messages.replies import replies_apply, replies_waiting
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


class _Report(NamedTuple):
    """A due receipt, with the provider's id in it if that is stored."""

    row: WaitingReceipt
    known: KnownId | None

    @property
    def message_id(self) -> int | None:
        """Its message: by our id if it has both. None while the provider's id is not known."""
        return self.row.message_id or (self.known.message_id if self.known else None)

    @property
    def part(self) -> int | None:
        """The part that it is about; None: the whole message."""
        known = self.known
        return known.pk if known and known.several and known.message_id == self.message_id else None


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
            provider_id=row.provider_id if is_storable(row.provider_id) else "",
            delivered=row.delivered,
            reason=row.reason,
            cost=None if row.price is None else to_micros(row.price),
        )
        for row in receipts
        if row.message_id is not None or is_storable(row.provider_id)
    )
    if rows:
        apply_receipts.enqueue(due=now() + _BURST_WAIT)
    return len(rows)


@task("campaigns.tasks.apply_receipts")
def apply_receipts() -> None:
    """Apply incoming messages, then due receipts, each for a limited time, and leave a hint for the rest.

    Both in one task, because a worker of the previous release knows no other name.
    """
    try:
        more = replies_apply()
    finally:  # what fails there must not hold up receipts
        deadline = time.monotonic() + _MAX_SECONDS
        while time.monotonic() < deadline and _apply_batch():
            pass
        _hint_due()
    if more:
        apply_receipts.enqueue()


def hint_waiting() -> None:
    """Leave a hint if an incoming message waits, and one for when the next receipt is due."""
    if replies_waiting():
        apply_receipts.enqueue()
    _hint_due()


def _hint_due() -> None:
    due: datetime | None = WaitingReceipt.objects.aggregate(first=Min("due_at"))["first"]
    if due is not None:
        apply_receipts.enqueue(due=max(due, now()))


@transaction.atomic
def _apply_batch() -> bool:
    """Apply a batch of due receipts; return whether there may be more."""
    due = WaitingReceipt.objects.filter(due_at__lte=now()).order_by("pk").select_for_update(skip_locked=True)
    rows = list(due[:_BATCH])
    reports = _reports(rows)
    applied = _apply(reports)
    too_early = _too_early(report for report in reports if report.message_id not in applied)
    postponed = [row for row in too_early if now() - row.received_at < _MAX_AGE]
    for row in postponed:
        row.due_at = now() + max(_FIRST_WAIT, now() - row.received_at)
    WaitingReceipt.objects.bulk_update(postponed, ["due_at"])
    WaitingReceipt.objects.filter(pk__in={row.pk for row in rows} - {row.pk for row in postponed}).delete()
    return len(rows) == _BATCH


def _reports(rows: Collection[WaitingReceipt]) -> list[_Report]:
    known = find_provider_ids({row.provider_id for row in rows if row.provider_id})
    return [_Report(row, known.get((row.gateway, row.provider_id))) for row in rows]


def _apply(reports: Iterable[_Report]) -> set[int]:
    """Write the outcomes of messages that await one of these receipts; return the ids of all that may get one."""
    by_message: dict[tuple[int, str], list[_Report]] = defaultdict(list)
    for report in reports:
        if report.message_id is not None:
            by_message[report.message_id, report.row.gateway].append(report)
    awaiting = {
        message: by_message[message.pk, message.gateway_id or settings.GATEWAY] for message in _lock(by_message)
    }
    _write(_chosen(_completed(awaiting)))
    return {message.pk for message in awaiting}


def _completed(awaiting: Mapping[_Awaiting, list[_Report]]) -> dict[_Awaiting, list[_Report]]:
    """The same with ids that were recorded just before the messages were locked."""
    missing = [each.row for reports in awaiting.values() for each in reports if each.row.provider_id and not each.known]
    found = {report.row: report for report in _reports(missing)}
    return {message: [found.get(report.row, report) for report in reports] for message, reports in awaiting.items()}


def _lock(reports: Mapping[tuple[int, str], list[_Report]]) -> list[_Awaiting]:
    """Those of these messages that a receipt may still change, locked."""
    divided = {pk for (pk, _), each in reports.items() if any(report.part for report in each)}
    of_parts = Q(status=MessageStatus.DELIVERED) & (Q(parts__gt=1) | Q(pk__in=divided))
    found = Message.objects.filter(Q(status__in=_AWAITING) | of_parts, pk__in={pk for pk, _ in reports})
    rows = found.order_by("pk").select_for_update().values_list(*_Awaiting._fields)
    return list(map(_Awaiting._make, rows))


def _chosen(awaiting: Mapping[_Awaiting, list[_Report]]) -> list[tuple[_Awaiting, _Report]]:
    """The messages whose status changes, each with the receipt that counts. Marks the parts that receipts name."""
    marks: dict[bool, set[int]] = defaultdict(set)
    for report in (report for reports in awaiting.values() for report in reports):
        if report.part is not None:
            marks[report.row.delivered].add(report.part)
    mark_parts(delivered=marks[True], undelivered=marks[False])
    lacking = incomplete([message.pk for message, reports in awaiting.items() if any(each.part for each in reports)])
    counting = ((message, _counting(message, reports, lacking)) for message, reports in awaiting.items())
    return [(message, report) for message, report in counting if report is not None]


def _counting(message: _Awaiting, reports: list[_Report], lacking: Collection[int]) -> _Report | None:
    """The receipt that decides about a message; `lacking`: messages of which some parts are not delivered."""
    undelivered = [report for report in reports if not report.row.delivered]
    if undelivered and (message.parts > 1 or any(report.part for report in reports)):
        return undelivered[0]
    if message.status not in _AWAITING:
        return None
    whole = [report for report in reports if report.part is None]
    if whole:
        return whole[0]
    return reports[-1] if reports and message.pk not in lacking else None


def _write(chosen: Collection[tuple[_Awaiting, _Report]]) -> None:
    """Write the outcomes, the counters and the events."""
    moment = now()
    by_outcome: dict[tuple[str, str], list[int]] = defaultdict(list)
    changes: dict[int, Counter[str]] = defaultdict(Counter)
    ends: dict[int, Counter[str]] = defaultdict(Counter)
    for message, report in chosen:
        status = (MessageStatus.DELIVERED if report.row.delivered else MessageStatus.UNDELIVERED).value
        by_outcome[status, report.row.reason].append(message.pk)
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
    for run_id, change in recharge(_costs(chosen)).items():
        changes[run_id].update(change)
    count(changes)
    _count_by_gateway((report.row for _, report in chosen), moment)


def _ids(chosen: Iterable[tuple[_Awaiting, _Report]], status: MessageStatus) -> list[int]:
    return [message.pk for message, _ in chosen if message.status == status]


def _costs(chosen: Iterable[tuple[_Awaiting, _Report]]) -> dict[int, int]:
    """What the receipts say that messages have cost. One of a part knows only that part."""
    whole = [(message, report.row) for message, report in chosen if report.part is None]
    return {message.pk: row.cost for message, row in whole if row.cost is not None}


def _count_by_gateway(receipts: Iterable[WaitingReceipt], moment: datetime) -> None:
    """Count each gateway's receipts by outcome, for the metrics and for its page."""
    for (gateway, delivered), number in sorted(Counter((row.gateway, row.delivered) for row in receipts).items()):
        state = MessageStatus.DELIVERED if delivered else MessageStatus.UNDELIVERED
        GATEWAY_MESSAGES.add(gateway, state.value, number=number)
        count_hour(gateway, moment, **{state.value: number})


def _too_early(reports: Iterable[_Report]) -> list[WaitingReceipt]:
    """The receipts that came before their gateway's message, or its provider's id, was recorded."""
    by_message: dict[int, list[WaitingReceipt]] = defaultdict(list)
    unknown: list[WaitingReceipt] = []
    for report in reports:
        (unknown if report.message_id is None else by_message[report.message_id]).append(report.row)
    found = Message.objects.filter(pk__in=by_message, status__in=(*OPEN, *_AWAITING))
    return unknown + [
        row
        for pk, status, gateway in found.values_list("pk", "status", "gateway_id")
        for row in by_message[pk]
        if status in OPEN or row.gateway == (gateway or settings.GATEWAY)
    ]
