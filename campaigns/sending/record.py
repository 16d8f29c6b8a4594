"""Recording: write what became of a batch, fenced by the lease token, with the counters in the same transaction."""

import random
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef

from campaigns.counters import count, count_hour, count_minute, count_reasons, moved
from campaigns.events import messages_changed
from campaigns.gateways.base import KEPT_ANSWER_CHARACTERS, Answer, Outcome, Verdict
from campaigns.meters import GATEWAY_MESSAGES, GATEWAY_SECONDS
from campaigns.models import Attempt, Message
from campaigns.sending.lease import Leased
from campaigns.sending.sql import TABLE, fenced, table, uuid
from campaigns.states import MessageStatus
from project.clock import now
from project.logs import log_each, mask
from project.sql import among, id_list, look_up, stamp, table_rows

_FATE = ("id", "status", "reason", "due_at", "attempts")


class Done(NamedTuple):
    """A request that ended: its message, what came back, and what that means."""

    message: Leased
    answer: Answer
    outcome: Outcome
    probe: bool = False
    """Sent to learn whether the gateway is back: a failure costs the message no attempt."""

    @property
    def sent(self) -> bool:
        """Whether the gateway accepted."""
        return self.outcome.verdict == Verdict.SENT


@dataclass(slots=True)
class Fate:
    """The row that a message without success becomes."""

    status: MessageStatus
    due_at: datetime
    attempts: int


def backoff(attempts: int) -> timedelta:
    """The wait after that many attempts: exponential with full jitter, see the AWS Architecture Blog, 2015-03-04."""
    ceiling = min(settings.RETRY_CAP, settings.RETRY_BASE * 2 ** (attempts - 1))
    return timedelta(seconds=random.uniform(0, ceiling))  # noqa: S311


def fate(done: Done, moment: datetime, *, idempotent: bool) -> Fate:
    """What becomes of a message whose attempt did not succeed.

    An answer that stops or throttles the whole gateway says nothing of this message, so it costs no attempt.
    """
    outcome, attempts = done.outcome, done.message.attempts
    hold = timedelta(seconds=outcome.hold or 0)
    if outcome.verdict == Verdict.REFUSED:
        return Fate(MessageStatus.FAILED, moment, attempts)
    if outcome.uncertain and not idempotent:
        return Fate(MessageStatus.UNKNOWN, moment, attempts)
    throttled = outcome.hold is not None and done.answer.status in (429, 503)
    if throttled or outcome.verdict == Verdict.UNAUTHORISED:
        return Fate(MessageStatus.PENDING, moment + hold, attempts - 1)
    if done.probe:
        # It waits like any other, so that the next probe is another message: this one may be what the gateway dislikes.
        return Fate(MessageStatus.PENDING, moment + backoff(attempts), attempts - 1)
    if attempts >= settings.MAX_ATTEMPTS:
        return Fate(MessageStatus.FAILED, moment, attempts)
    return Fate(MessageStatus.PENDING, moment + max(hold, backoff(attempts)), attempts)


def record(token: UUID, batch: list[Done], *, gateway: str, idempotent: bool) -> None:
    """Write the outcomes of a batch. What the token no longer holds is left alone: somebody else has it now."""
    moment = now()
    sent = [done for done in batch if done.sent]
    others = [(done, fate(done, moment, idempotent=idempotent)) for done in batch if not done.sent]
    with transaction.atomic():
        mine = _write_sent(token, [done.message.id for done in sent], moment)
        mine |= _write_fates(token, others, moment)
        kept = [(done, row) for done, row in others if done.message.id in mine]
        Attempt.objects.bulk_create([_attempt(done, moment) for done, _ in kept])
        accepted = [done for done in sent if done.message.id in mine]
        _count(accepted, kept, moment)
        ends = Counter(row.status for _, row in kept)
        failed, again = ends[MessageStatus.FAILED], ends[MessageStatus.PENDING]
        count_hour(gateway, moment, sent=len(accepted), failed=failed, retried=again)
        messages_changed({done.message.run_id for done in batch}, mine)
    _measure(gateway, batch, Counter(row.status.value for _, row in kept) + Counter(sent=len(accepted)))
    log_each("vestnik.sending", "attempt", (_told(gateway, done) for done in accepted))
    log_each("vestnik.sending", "attempt", (_told(gateway, done, row) for done, row in kept))
    late = (_told(gateway, done) for done in batch if done.message.id not in mine)
    log_each("vestnik.sending", "attempt came too late", late)


def _measure(gateway: str, batch: list[Done], states: Counter[str]) -> None:
    """How long the requests took, and the states to which they brought messages for now."""
    durations: dict[str, list[float]] = defaultdict(list)
    for done in batch:
        durations[done.outcome.verdict].append(done.answer.duration_ms / 1000)
    for verdict, seconds in durations.items():
        GATEWAY_SECONDS.observe(gateway, verdict, seconds=seconds)
    for state, number in states.items():
        GATEWAY_MESSAGES.add(gateway, state, number=number)


def _told(gateway: str, done: Done, row: Fate | None = None) -> dict[str, Any]:
    """What the log tells of an attempt: the request, the answer, and what became of the message without success."""
    message, answer, outcome = done.message, done.answer, done.outcome
    told: dict[str, Any] = {
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
        told |= {"reason": outcome.reason, "bytes": len(answer.body), "status": row.status.value}
        if row.status == MessageStatus.PENDING:
            told["due"] = row.due_at.isoformat()
    return told


def _write_sent(token: UUID, ids: list[int], moment: datetime) -> set[int]:
    """One statement; returns the ids that the token still held."""
    if not ids:
        return set()
    return fenced(
        f"UPDATE {TABLE} SET status = 'sent', reason = '', changed_at = %s, "  # noqa: S608
        "lease_token = NULL, leases = 0 "
        f"WHERE {among('id')} AND lease_token = %s AND status = 'sending' RETURNING id",
        [stamp(moment), id_list(ids), uuid(token)],
    )


def _write_fates(token: UUID, others: list[tuple[Done, Fate]], moment: datetime) -> set[int]:
    """One statement for all, each with a row of its own; returns the ids that the token still held."""
    if not others:
        return set()
    rows = (
        (done.message.id, row.status.value, done.outcome.reason, str(stamp(row.due_at)), row.attempts)
        for done, row in others
    )
    look_up()
    return fenced(
        f"WITH {table('fate', _FATE)} "  # noqa: S608
        f"UPDATE {TABLE} SET status = fate.status, reason = fate.reason, due_at = fate.due_at, "
        "attempts = fate.attempts, changed_at = %s, lease_token = NULL, leases = 0 "
        f"FROM fate WHERE {TABLE}.id = fate.id AND lease_token = %s AND {TABLE}.status = 'sending' "
        f"RETURNING {TABLE}.id",
        [*table_rows(rows), stamp(moment), uuid(token)],
    )


def _attempt(done: Done, moment: datetime) -> Attempt:
    text = done.answer.body[: KEPT_ANSWER_CHARACTERS * 4].decode("utf-8", "replace").replace("\x00", "�")
    return Attempt(
        message_id=done.message.id,
        at=moment,
        reason=done.outcome.reason,
        http_status=done.answer.status or None,
        answer=text[:KEPT_ANSWER_CHARACTERS],
        duration_ms=done.answer.duration_ms,
        uncertain=done.outcome.uncertain,
    )


def _count(sent: list[Done], others: list[tuple[Done, Fate]], moment: datetime) -> None:
    changes: dict[int, Counter[str]] = defaultdict(Counter)
    for run_id, number in Counter(done.message.run_id for done in sent).items():
        changes[run_id].update(sending=-number, sent=number, attempts=number)
    for done in sent:
        changes[done.message.run_id]["parts"] += done.message.parts
    for done, row in others:
        changes[done.message.run_id].update({"sending": -1, row.status.value: 1, "attempts": 1})
    reached: dict[int, int] = {}
    for done in (*sent, *(done for done, _ in others)):
        message = done.message
        if message.attempts == 1 and message.id > reached.get(message.run_id, 0):
            reached[message.run_id] = message.id
    for run_id in sorted(changes):
        count(run_id, changes[run_id], reached=reached.get(run_id))
        failed = changes[run_id][MessageStatus.FAILED.value]
        count_minute(
            run_id,
            moment,
            sent=changes[run_id][MessageStatus.SENT.value],
            failed=failed,
            retried=changes[run_id][MessageStatus.PENDING.value],
        )
    count_reasons(Counter((done.message.run_id, done.outcome.reason) for done, _ in others))


def release(token: UUID, messages: list[Leased]) -> None:
    """Give back messages that never left: as if they had not been leased.

    One that no earlier attempt has shown to the gateway is thawed, so that a change of text still reaches it; a message
    to a single phone has nothing to be frozen from anew, and one that is sent instead of another says the same.
    """
    ids = [message.id for message in messages]
    with transaction.atomic():
        held = Message.objects.leased_by(token).filter(pk__in=ids)
        by_run = Counter(held.select_for_update().values_list("run_id", flat=True))
        back = {
            "status": MessageStatus.PENDING,
            "attempts": F("attempts") - 1,
            "leases": F("leases") - 1,
            "lease_token": None,
        }
        shown = Exists(Attempt.objects.filter(message=OuterRef("pk")))
        fresh = held.filter(~shown, attempts=1, contact__isnull=False, resend_of=None)
        fresh.update(**back, phone=None, text="", parts=0)
        held.update(**back)
        for run_id in sorted(by_run):
            count(run_id, moved(MessageStatus.SENDING, MessageStatus.PENDING, by_run[run_id]))
