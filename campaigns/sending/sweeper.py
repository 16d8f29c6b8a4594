"""The net under everything: twice a minute, what a dead worker left is put right."""

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Final

import structlog
from django.db import transaction

from campaigns.counters import count, count_reasons
from campaigns.events import messages_changed, messages_told
from campaigns.meters import LEASES_RESCUED, MESSAGES_RESCUED
from campaigns.models import Attempt, Lease, Message
from campaigns.states import QUARANTINED, MessageStatus
from project.clock import now

log = structlog.get_logger("vestnik.sending")

MAX_LEASES = 3
_AGAIN: Final = (MessageStatus.PENDING, "worker_died")
_LOST: Final = (MessageStatus.UNKNOWN, "worker_died")
_SUSPECT: Final = (MessageStatus.UNKNOWN, QUARANTINED)


def rescue(*, idempotent: Callable[[str | None], bool]) -> int:
    """Take messages back from leases that ran out, and return how many.

    Nobody knows whether they left. An idempotent gateway takes the same id again as the same message, so they wait for
    another attempt. With a gateway that would write twice they are unknown, and so they are after three leases without
    an outcome: in quarantine, for they may be what kills the workers. `idempotent` tells of a gateway by its name.
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
    """Put right what the lease still holds."""
    held = Message.objects.leased_by(lease.token).filter(pk__in=lease.message_ids).select_for_update(of=("self",))
    rows: dict[tuple[MessageStatus, str], list[tuple[int, int]]] = defaultdict(list)
    for pk, run_id, leases, gateway in held.values_list("pk", "run_id", "leases", "gateway_id"):
        fate = _LOST if not idempotent(gateway) else _AGAIN if leases < MAX_LEASES else _SUSPECT
        rows[fate].append((pk, run_id))
    if rows:
        _settle(rows)
        again, unknown = len(rows[_AGAIN]), len(rows[_LOST]) + len(rows[_SUSPECT])
        LEASES_RESCUED.add()
        MESSAGES_RESCUED.add(MessageStatus.PENDING, number=again)
        MESSAGES_RESCUED.add(MessageStatus.UNKNOWN, number=unknown)
        log.warning("lease rescued", again=again, unknown=unknown)
    return sum(map(len, rows.values()))


def _settle(rows: dict[tuple[MessageStatus, str], list[tuple[int, int]]]) -> None:
    """Write each message's new status; runs are counted in the order in which everyone counts them."""
    moment = now()
    changes: dict[int, Counter[str]] = defaultdict(Counter)
    for (status, reason), members in rows.items():
        Message.objects.filter(pk__in=[pk for pk, _ in members]).update(
            status=status, reason=reason, due_at=moment, changed_at=moment, lease_token=None
        )
        Attempt.objects.bulk_create(
            Attempt(message_id=pk, at=moment, reason="worker_died", uncertain=True) for pk, _ in members
        )
        for _, run_id in members:
            changes[run_id].update({MessageStatus.SENDING.value: -1, status.value: 1, "attempts": 1})
    for run_id in sorted(changes):
        count(run_id, changes[run_id])
    count_reasons({(run_id, "worker_died"): changes[run_id]["attempts"] for run_id in changes})
    messages_changed(changes.keys(), [pk for fate in (_LOST, _SUSPECT) for pk, _ in rows[fate]])
    messages_told([pk for members in rows.values() for pk, _ in members])
