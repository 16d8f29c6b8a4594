"""The net under everything: twice a minute, what a dead worker left is put right."""

from collections import Counter, defaultdict

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


def rescue(*, idempotent: bool) -> int:
    """Take messages back from leases that ran out, and return how many.

    Nobody knows whether they left. An idempotent gateway takes the same id again as the same message, so they wait for
    another attempt. With a gateway that would write twice they are unknown, and so they are after three leases without
    an outcome: in quarantine, for they may be what kills the workers.
    """
    rescued = 0
    while True:
        with transaction.atomic():
            expired = Lease.objects.filter(until__lt=now()).select_for_update(skip_locked=True).first()
            if expired is None:
                return rescued
            rescued += _take_back(expired, idempotent=idempotent)
            expired.delete()


def _take_back(lease: Lease, *, idempotent: bool) -> int:
    """Put right what the lease still holds."""
    held = Message.objects.leased_by(lease.token).filter(pk__in=lease.message_ids).select_for_update(of=("self",))
    rows = list(held.values_list("pk", "run_id", "leases"))
    again = [(pk, run_id) for pk, run_id, leases in rows if idempotent and leases < MAX_LEASES]
    lost = [(pk, run_id) for pk, run_id, leases in rows if not (idempotent and leases < MAX_LEASES)]
    if rows:
        _settle({MessageStatus.PENDING: again, MessageStatus.UNKNOWN: lost}, idempotent=idempotent)
        LEASES_RESCUED.add()
        MESSAGES_RESCUED.add(MessageStatus.PENDING, number=len(again))
        MESSAGES_RESCUED.add(MessageStatus.UNKNOWN, number=len(lost))
        log.warning("lease rescued", again=len(again), unknown=len(lost))
    return len(rows)


def _settle(rows: dict[MessageStatus, list[tuple[int, int]]], *, idempotent: bool) -> None:
    """Write each message's new status; runs are counted in the order in which everyone counts them."""
    moment = now()
    changes: dict[int, Counter[str]] = defaultdict(Counter)
    for status, members in rows.items():
        reason = QUARANTINED if idempotent and status == MessageStatus.UNKNOWN else "worker_died"
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
    messages_changed(changes.keys(), [pk for pk, _ in rows[MessageStatus.UNKNOWN]])
    messages_told([pk for members in rows.values() for pk, _ in members])
