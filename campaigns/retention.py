"""Removing old messages: what was written to whom goes, and every figure of their runs stays, for counters hold it."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils.timezone import now

from campaigns.models import Attempt, Message, Run, RunQuerySet
from campaigns.states import CampaignStatus
from project.queue import enqueue, others_wait

log = structlog.get_logger("vestnik.retention")

FORGET: Final = "campaigns.tasks.forget_messages"
_AT_A_TIME: Final = 15.0
_BATCH: Final = 5000


def forgettable(before: datetime) -> RunQuerySet:
    """Runs that ended before that moment, of which nothing can leave any more, and whose messages are still there."""
    over = Q(ends_at__lt=now()) | Q(campaign__ends_at__lt=now()) | Q(campaign__direct=True)
    over |= Q(campaign__status=CampaignStatus.CANCELLED)
    there = Q(forgotten_at=None) | Exists(Message.objects.filter(run=OuterRef("pk")))
    return Run.objects.filter(over & there, finished_at__lt=before, pending=0, sending=0, remedy="")


def forget(before: datetime, enough: Callable[[], bool] = lambda: False) -> int:
    """Remove the messages of all `forgettable` runs, the oldest first, until there is `enough`; return how many."""
    removed = 0
    for run in forgettable(before).order_by("finished_at"):
        Run.objects.filter(pk=run.pk, forgotten_at=None).update(forgotten_at=now())
        while not enough():
            number = _remove(run)
            removed += number
            if not number:
                log.info("messages forgotten", run=run.pk, campaign=run.campaign_id, messages=run.total)
                break
        else:
            return removed
    return removed


@transaction.atomic
def _remove(run: Run) -> int:
    ids = list(Message.objects.filter(run=run).order_by("pk").values_list("pk", flat=True)[:_BATCH])
    Attempt.objects.filter(message__in=ids).delete()
    Message.objects.filter(pk__in=ids).delete()
    return len(ids)


def hint_forget() -> None:
    """Have removed what `MESSAGE_RETENTION_DAYS` has let go, if anything is."""
    before = _kept_since()
    if before is not None and forgettable(before).exists():
        enqueue(FORGET)


def forget_for_a_while() -> None:
    """A task's work: other hints go first, and the sweep asks for the rest."""
    before, until = _kept_since(), time.monotonic() + _AT_A_TIME
    if before is not None:
        forget(before, lambda: time.monotonic() > until or others_wait())


def _kept_since() -> datetime | None:
    days = settings.MESSAGE_RETENTION_DAYS
    return None if days is None else now() - timedelta(days=days)
