"""Removal of old messages, in both directions. The figures of runs stay, because they are in counters."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from campaigns.models import NOTHING_OPEN, Attempt, IncomingMessage, Message, ProviderId, Run, RunQuerySet
from campaigns.states import CampaignStatus
from project.core.clock import now
from project.queue.broker import other_tasks_due
from project.queue.tasks import task

log = structlog.get_logger("vestnik.retention")

_MAX_SECONDS: Final = 15.0
_BATCH: Final = 5000


def forgettable(before: datetime) -> RunQuerySet:
    """Runs that ended before that moment, can send nothing any more, and still have messages."""
    ended = Q(ends_at__lt=now()) | Q(campaign__ends_at__lt=now()) | Q(campaign__transactional=True)
    ended |= Q(campaign__status=CampaignStatus.CANCELLED)
    has_messages = Q(forgotten_at=None) | Exists(Message.objects.filter(run=OuterRef("pk")))
    return Run.objects.filter(NOTHING_OPEN & ended & has_messages, finished_at__lt=before, resolution="")


def forget(before: datetime, enough: Callable[[], bool] = lambda: False) -> int:
    """Remove the messages of `forgettable` runs, oldest first, until `enough` returns true; return how many."""
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
    ProviderId.objects.filter(message__in=ids).delete()
    Message.objects.filter(pk__in=ids).delete()
    return len(ids)


def forget_incoming(before: datetime, enough: Callable[[], bool] = lambda: False) -> int:
    """Remove messages that came before that moment, until `enough` returns true; return how many."""
    removed = 0
    while not enough():
        oldest = IncomingMessage.objects.filter(received_at__lt=before).order_by("received_at")
        number, _ = IncomingMessage.objects.filter(pk__in=list(oldest.values_list("pk", flat=True)[:_BATCH])).delete()
        removed += number
        if not number:
            break
    return removed


def hint_forget() -> None:
    """Enqueue removal if there are messages older than `MESSAGE_RETENTION_DAYS`."""
    before = _retention_limit()
    if before is None:
        return
    if forgettable(before).exists() or IncomingMessage.objects.filter(received_at__lt=before).exists():
        forget_messages.enqueue()


@task("campaigns.tasks.forget_messages")
def forget_messages() -> None:
    """Remove old messages until time is up or other tasks wait; the sweep hints the rest."""
    before, until = _retention_limit(), time.monotonic() + _MAX_SECONDS
    if before is not None:
        for remove in (forget, forget_incoming):
            remove(before, lambda: time.monotonic() > until or other_tasks_due())


def _retention_limit() -> datetime | None:
    days = settings.MESSAGE_RETENTION_DAYS
    return None if days is None else now() - timedelta(days=days)
