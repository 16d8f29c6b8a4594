"""Write the outcomes of a batch, fenced by the lease token, and the counters in the same transaction."""

import random
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef

from campaigns.costs import Charge, charge, set_costs
from campaigns.counters import count, count_hour, count_minutes, count_reasons, moved
from campaigns.gateways.masking import Masker
from campaigns.gateways.protocol import KEPT_ANSWER_CHARACTERS, Answer, Outcome, Verdict
from campaigns.messages.provider_ids import provider_ids_add
from campaigns.metrics import GATEWAY_MESSAGES, GATEWAY_SECONDS
from campaigns.models import Attempt, Message
from campaigns.sending.decisions import Leased
from campaigns.sending.sql import TABLE, fenced, table, uuid
from campaigns.states import MessageStatus
from campaigns.webhook_events import messages_changed
from project.core.clock import now
from project.core.money import to_micros
from project.core.sql import among, id_list, prefer_index_scans, stamp, table_rows
from project.observability.logs import log_each, mask

_COLUMNS = ("id", "status", "reason", "due_at", "attempts")


class Completed(NamedTuple):
    """A request that ended: its message, the answer, and the outcome."""

    message: Leased
    answer: Answer
    outcome: Outcome
    probe: bool = False
    """Sent to test whether the gateway works again; a failure does not count as an attempt of the message."""

    @property
    def sent(self) -> bool:
        """Whether the gateway accepted."""
        return self.outcome.verdict == Verdict.SENT

    @property
    def cost(self) -> int | None:
        """What the message costs in micros: as the gateway says, or else by its tariff."""
        price = self.outcome.price
        return self.message.cost if price is None else to_micros(price)


@dataclass(slots=True)
class NextState:
    """The next state of a message whose attempt did not succeed."""

    status: MessageStatus
    due_at: datetime
    attempts: int


def backoff(attempts: int) -> timedelta:
    """The wait after that many attempts: exponential with full jitter, see the AWS Architecture Blog, 2015-03-04."""
    ceiling = min(settings.RETRY_CAP, settings.RETRY_BASE * 2 ** (attempts - 1))
    return timedelta(seconds=random.uniform(0, ceiling))  # noqa: S311


def next_state(completed: Completed, moment: datetime, *, idempotent: bool, doubtful: bool = False) -> NextState:
    """The next state of a message whose attempt did not succeed. `doubtful`: an earlier attempt was uncertain.

    An answer that stops or throttles the whole gateway is not about this message, so it does not count as an attempt.
    A message that may have been accepted by any of its attempts never fails; it becomes unknown.
    """
    outcome, attempts = completed.outcome, completed.message.attempts
    final = MessageStatus.UNKNOWN if doubtful or outcome.uncertain else MessageStatus.FAILED
    if outcome.verdict == Verdict.REFUSED:
        return NextState(final, moment, attempts)
    if outcome.uncertain and not idempotent:
        return NextState(MessageStatus.UNKNOWN, moment, attempts)
    throttled = outcome.hold is not None and completed.answer.status in (429, 503)
    if throttled or outcome.verdict in (Verdict.HELD, Verdict.UNAUTHORISED):
        # Its gateway is on hold; another one may send it at once.
        return NextState(MessageStatus.PENDING, moment, attempts - 1)
    if completed.probe:
        # It waits for its retry like any other, so the next probe is another message: this one may cause the failure.
        return NextState(MessageStatus.PENDING, moment + backoff(attempts), attempts - 1)
    if attempts >= settings.MAX_ATTEMPTS:
        return NextState(final, moment, attempts)
    return NextState(MessageStatus.PENDING, moment + backoff(attempts), attempts)


def record(
    token: UUID,
    batch: list[Completed],
    *,
    gateway: str,
    idempotent: bool,
    pull_after: timedelta | None = None,
    secrets: Collection[str] = (),
) -> None:
    """Write the outcomes of a batch, except of messages that the token no longer holds: another worker has them.

    `pull_after`: how long after acceptance the gateway has to be asked for receipts; None: it sends them. `secrets` are
    hidden in the answers that are kept.
    """
    moment = now()
    sent = [completed for completed in batch if completed.sent]
    with transaction.atomic():
        others = _next_states([completed for completed in batch if not completed.sent], moment, idempotent=idempotent)
        held = _write_sent(token, [completed.message.id for completed in sent], moment)
        held |= _write_others(token, others, moment)
        held_others = [(completed, row) for completed, row in others if completed.message.id in held]
        shown = cache(Masker(secrets).body)
        Attempt.objects.bulk_create(
            [_attempt(completed, moment, shown(completed.answer.body)) for completed, _ in held_others]
        )
        accepted = [completed for completed in sent if completed.message.id in held]
        ids = {completed.message.id: completed.outcome.ids for completed in accepted if completed.outcome.ids}
        if ids:
            provider_ids_add(gateway, ids, moment + pull_after if pull_after else None)
        set_costs({done.message.id: done.cost for done in accepted if done.cost != done.message.cost})
        messages_changed({completed.message.run_id for completed in batch}, held)
        _count(accepted, held_others, moment, gateway)
        states = Counter(row.status for _, row in held_others)
        failed, retried = states[MessageStatus.FAILED], states[MessageStatus.PENDING]
        count_hour(gateway, moment, sent=len(accepted), failed=failed, retried=retried)
    _measure(gateway, batch, Counter(row.status.value for _, row in held_others) + Counter(sent=len(accepted)))
    sampled = (completed for completed in accepted if is_logged(completed.message.id))
    log_each("vestnik.sending", "attempt", (_log_fields(gateway, completed) for completed in sampled))
    log_each("vestnik.sending", "attempt", (_log_fields(gateway, completed, row) for completed, row in held_others))
    too_late = (_log_fields(gateway, completed) for completed in batch if completed.message.id not in held)
    log_each("vestnik.sending", "outcome discarded: lease lost", too_late)


def _next_states(batch: list[Completed], moment: datetime, *, idempotent: bool) -> list[tuple[Completed, NextState]]:
    """Each request that did not succeed, with the next state of its message."""
    uncertain = Attempt.objects.filter(message__in=[completed.message.id for completed in batch], uncertain=True)
    doubtful = set(uncertain.values_list("message_id", flat=True)) if batch else set()
    return [(row, next_state(row, moment, idempotent=idempotent, doubtful=row.message.id in doubtful)) for row in batch]


def is_logged(message_id: int) -> bool:
    """Whether a success of this message is logged: true for `LOG_SENT_SHARE` of all ids, spread evenly."""
    return message_id % 1000 < settings.LOG_SENT_SHARE * 1000


def _measure(gateway: str, batch: list[Completed], states: Counter[str]) -> None:
    """Add the durations of the requests and the resulting states to the metrics."""
    durations: dict[str, list[float]] = defaultdict(list)
    for completed in batch:
        durations[completed.outcome.verdict].append(completed.answer.duration_ms / 1000)
    for verdict, seconds in durations.items():
        GATEWAY_SECONDS.observe(gateway, verdict, seconds=seconds)
    for state, number in states.items():
        GATEWAY_MESSAGES.add(gateway, state, number=number)


def _log_fields(gateway: str, completed: Completed, row: NextState | None = None) -> dict[str, Any]:
    """The log fields of an attempt: request, answer, and the next state if it did not succeed."""
    message, answer, outcome = completed.message, completed.answer, completed.outcome
    fields: dict[str, Any] = {
        "message": message.id,
        "contact": message.contact_id,
        "run": message.run_id,
        "campaign": message.campaign_id,
        "phone": mask(message.phone),
        "parts": message.parts,
        "gateway": gateway,
        "attempt": message.attempts,
        "outcome": outcome.verdict.value,
        "http_status": answer.status,
        "ms": answer.duration_ms,
    }
    if row is not None:
        fields |= {"reason": outcome.reason, "bytes": len(answer.body), "status": row.status.value}
        if row.status == MessageStatus.PENDING:
            fields["due"] = row.due_at.isoformat()
    return fields


def _write_sent(token: UUID, ids: list[int], moment: datetime) -> set[int]:
    """Write successes in one statement; return the ids that the token still held."""
    if not ids:
        return set()
    return fenced(
        f"UPDATE {TABLE} SET status = 'sent', reason = '', changed_at = %s, "  # noqa: S608
        "lease_token = NULL, leases = 0 "
        f"WHERE {among('id')} AND lease_token = %s AND status = 'sending' RETURNING id",
        [stamp(moment), id_list(ids), uuid(token)],
    )


def _write_others(token: UUID, others: list[tuple[Completed, NextState]], moment: datetime) -> set[int]:
    """Write all other outcomes in one statement; return the ids that the token still held."""
    if not others:
        return set()
    rows = (
        (completed.message.id, row.status.value, completed.outcome.reason, str(stamp(row.due_at)), row.attempts)
        for completed, row in others
    )
    prefer_index_scans()
    return fenced(
        f"WITH {table('outcome', _COLUMNS)} "  # noqa: S608
        f"UPDATE {TABLE} SET status = outcome.status, reason = outcome.reason, due_at = outcome.due_at, "
        "attempts = outcome.attempts, changed_at = %s, lease_token = NULL, leases = 0 "
        f"FROM outcome WHERE {TABLE}.id = outcome.id AND lease_token = %s AND {TABLE}.status = 'sending' "
        f"RETURNING {TABLE}.id",
        [*table_rows(rows), stamp(moment), uuid(token)],
    )


def _attempt(completed: Completed, moment: datetime, answer: str) -> Attempt:
    return Attempt(
        message_id=completed.message.id,
        at=moment,
        reason=completed.outcome.reason,
        http_status=completed.answer.status or None,
        answer=answer[:KEPT_ANSWER_CHARACTERS],
        duration_ms=completed.answer.duration_ms,
        uncertain=completed.outcome.uncertain,
    )


def _count(sent: list[Completed], others: list[tuple[Completed, NextState]], moment: datetime, gateway: str) -> None:
    changes: dict[int, Counter[str]] = defaultdict(Counter)
    for run_id, number in Counter(completed.message.run_id for completed in sent).items():
        changes[run_id].update(moved(MessageStatus.SENDING, MessageStatus.SENT, number))
        changes[run_id]["attempts"] += number
    for completed in sent:
        changes[completed.message.run_id]["parts"] += completed.message.parts
    for completed, row in others:
        changes[completed.message.run_id].update({**moved(MessageStatus.SENDING, row.status, 1), "attempts": 1})
    reached: dict[int, int] = {}
    for completed in (*sent, *(completed for completed, _ in others)):
        message = completed.message
        changes[message.run_id]["reserved_cost"] -= message.cost or 0
        if message.attempts == 1 and message.id > reached.get(message.run_id, 0):
            reached[message.run_id] = message.id
    count_minutes({(run_id, moment): _in_minute(change) for run_id, change in changes.items()})
    count_reasons(Counter((completed.message.run_id, completed.outcome.reason) for completed, _ in others))
    charged = [*sent, *(completed for completed, row in others if row.status == MessageStatus.UNKNOWN)]
    for run_id, change in charge(_charges(charged, moment, gateway)).items():
        changes[run_id].update(change)
    count(changes, reached=reached)


def _charges(charged: list[Completed], moment: datetime, gateway: str) -> list[Charge]:
    return [
        Charge(message.run_id, moment, gateway, message.phone, message.parts, completed.cost)
        for completed in charged
        if (message := completed.message) and completed.cost is not None
    ]


def _in_minute(change: Mapping[str, int]) -> dict[str, int]:
    """The numbers of a run's minute: a message that is pending again is retried."""
    names = {"sent": MessageStatus.SENT, "failed": MessageStatus.FAILED, "retried": MessageStatus.PENDING}
    return {name: change.get(status.value, 0) for name, status in names.items()}


def release(token: UUID, messages: list[Leased]) -> None:
    """Give back messages that were not sent, as if they had not been leased.

    If a message was never attempted, its payload is cleared, so that a change of the campaign's text still applies. A
    transactional message and a resent message keep theirs: they can't be rendered again.
    """
    ids = [message.id for message in messages]
    with transaction.atomic():
        held = Message.objects.leased_by(token).filter(pk__in=ids)
        rows = list(held.select_for_update().values_list("run_id", "cost"))
        unleased = {
            "status": MessageStatus.PENDING,
            "attempts": F("attempts") - 1,
            "leases": F("leases") - 1,
            "lease_token": None,
        }
        attempted = Exists(Attempt.objects.filter(message=OuterRef("pk")))
        unattempted = held.filter(~attempted, attempts=1, contact__isnull=False, resend_of=None)
        unattempted.update(**unleased, phone=None, text="", parts=0, sender=None)
        held.update(**unleased)
        changes: dict[int, Counter[str]] = defaultdict(Counter)
        for run_id, cost in rows:
            changes[run_id].update(moved(MessageStatus.SENDING, MessageStatus.PENDING, 1))
            changes[run_id]["reserved_cost"] -= cost or 0
        count(changes)
