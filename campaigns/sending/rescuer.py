"""The rescuer: twice a minute it takes back messages whose lease expired because their worker died."""

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Final, NamedTuple

import structlog
from django.db import transaction

from campaigns.costs import charge, charges_of
from campaigns.counters import count, count_reasons, moved
from campaigns.metrics import LEASES_RESCUED, MESSAGES_RESCUED
from campaigns.models import Attempt, Lease, Message
from campaigns.states import QUARANTINED, MessageStatus
from campaigns.webhook_events import log_messages, messages_changed
from project.core.clock import now

log = structlog.get_logger("vestnik.sending")

MAX_LEASES = 3
_RETRIED: Final = (MessageStatus.PENDING, "worker_died")
_UNKNOWN: Final = (MessageStatus.UNKNOWN, "worker_died")
_QUARANTINED: Final = (MessageStatus.UNKNOWN, QUARANTINED)


class _Held(NamedTuple):
    """A message that an expired lease still holds."""

    pk: int
    run_id: int
    cost: int | None


def rescue(*, idempotent: Callable[[str | None], bool]) -> int:
    """Take back the messages of expired leases, and return how many there were.

    They may have been sent or not. If the gateway is idempotent, they become pending for another attempt. Otherwise the
    gateway would send them twice, so they become unknown. After three leases without an outcome they are quarantined,
    because they may be what kills the workers. `idempotent` says whether the gateway of that name is idempotent.
    """
    rescued = 0
    while True:
        with transaction.atomic():
            expired = Lease.objects.filter(until__lt=now()).select_for_update(skip_locked=True).first()
            if expired is None:
                return rescued
            rescued += _take_back(expired, idempotent=idempotent)
            expired.delete()


def _take_back(lease: Lease, *, idempotent: Callable[[str | None], bool]) -> int:
    """Set the next state of the messages that the lease still holds."""
    held = Message.objects.leased_by(lease.token).filter(pk__in=lease.message_ids).select_for_update(of=("self",))
    rows: dict[tuple[MessageStatus, str], list[_Held]] = defaultdict(list)
    for pk, run_id, cost, leases, gateway in held.values_list("pk", "run_id", "cost", "leases", "gateway_id"):
        next_state = _UNKNOWN if not idempotent(gateway) else _RETRIED if leases < MAX_LEASES else _QUARANTINED
        rows[next_state].append(_Held(pk, run_id, cost))
    if rows:
        _write(rows)
        retried, unknown = len(rows[_RETRIED]), len(rows[_UNKNOWN]) + len(rows[_QUARANTINED])
        LEASES_RESCUED.add()
        MESSAGES_RESCUED.add(MessageStatus.PENDING, number=retried)
        MESSAGES_RESCUED.add(MessageStatus.UNKNOWN, number=unknown)
        log.warning("lease rescued", again=retried, unknown=unknown)
    return sum(map(len, rows.values()))


def _write(rows: dict[tuple[MessageStatus, str], list[_Held]]) -> None:
    """Write each message's new status."""
    moment = now()
    changes: dict[int, Counter[str]] = defaultdict(Counter)
    for (status, reason), messages in rows.items():
        Message.objects.filter(pk__in=[message.pk for message in messages]).update(
            status=status, reason=reason, due_at=moment, changed_at=moment, lease_token=None
        )
        Attempt.objects.bulk_create(
            Attempt(message_id=message.pk, at=moment, reason="worker_died", uncertain=True) for message in messages
        )
        for _, run_id, cost in messages:
            changes[run_id].update(
                {**moved(MessageStatus.SENDING, status, 1), "attempts": 1, "reserved_cost": -(cost or 0)}
            )
    unknown = [message.pk for next_state in (_UNKNOWN, _QUARANTINED) for message in rows[next_state]]
    messages_changed(changes.keys(), unknown)
    log_messages([message.pk for messages in rows.values() for message in messages])
    count_reasons({(run_id, "worker_died"): changes[run_id]["attempts"] for run_id in changes})
    for run_id, change in charge(charges_of(Message.objects.filter(pk__in=unknown))).items():
        changes[run_id].update(change)
    count(changes)
