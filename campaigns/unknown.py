"""What people make of messages that are unknown: tried again, sent anew, or taken for sent or failed."""

import time
from collections.abc import Sequence
from typing import Final

from django.db import transaction
from django.db.models import Sum

from campaigns.audience import set_due
from campaigns.counters import count, moved
from campaigns.events import messages_changed, messages_told
from campaigns.models import Campaign, Message, MessageQuerySet, Run
from campaigns.states import MARKED, RESENT, MessageStatus, Remedy
from project.clock import now

SENDING: Final = (Remedy.RETRY, Remedy.RESEND)
_BATCH: Final = 2000
_SECONDS: Final = 20.0


def remediable(remedy: str) -> MessageQuerySet:
    """The messages that a remedy is for."""
    return Message.objects.quarantined() if remedy == Remedy.RETRY else Message.objects.unresolved()


def allows(run: Run, remedy: str) -> bool:
    """Whether the run's messages may have that remedy now: after its end nothing leaves any more."""
    return remedy not in SENDING or run.retryable


def mark(campaign: Campaign, remedy: Remedy) -> bool:
    """Mark the runs that have something for `remedy_marked` to do, and return whether there are any."""
    runs = []
    for run in campaign.runs.filter(unknown__gt=0):
        run.campaign = campaign
        if allows(run, remedy) and remediable(remedy).filter(run=run).exists():
            runs.append(run.pk)
    marked = Run.objects.filter(pk__in=runs)
    if remedy in SENDING:
        marked.update(finished_at=None)
    return marked.update(remedy=remedy, remedy_before=now()) > 0


def remedy_marked(campaign: Campaign) -> bool:
    """Do what the marks of a campaign's runs ask for, and clear them; return whether there is more to be done.

    It stops after a while, so that no task takes too long, and where the campaign is changed meanwhile. In batches that
    hold no lock for long; what is done is no longer unknown, or resent: so it goes on where it was interrupted.
    """
    deadline = time.monotonic() + _SECONDS
    marked = campaign.runs.exclude(remedy="")
    for run in marked.all():
        run.campaign = campaign
        while time.monotonic() < deadline and _remedy_batch(run):
            pass
    return marked.exists()


def _remedy_batch(run: Run) -> bool:
    """The next batch of a run with a mark; return whether there may be another."""
    with transaction.atomic():
        if not run.campaign.hold():
            return False
        found = remediable(run.remedy).filter(run=run, changed_at__lte=run.remedy_before).order_by("pk")
        locked = found.select_related("contact").select_for_update(of=("self",))
        rows = list(locked[:_BATCH]) if allows(run, run.remedy) else []
        if rows:
            apply(run, rows, Remedy(run.remedy))
        else:
            Run.objects.filter(pk=run.pk).update(remedy="", remedy_before=None)
    return bool(rows)


def apply(run: Run, messages: Sequence[Message], remedy: Remedy) -> Sequence[Message]:
    """Give these messages of a run, locked, the remedy; return them, or those that are sent instead."""
    rows = Message.objects.filter(pk__in=[message.pk for message in messages])
    if remedy == Remedy.RETRY:
        rows.wait_again()
        count(run.pk, moved(MessageStatus.UNKNOWN, MessageStatus.PENDING, len(messages)))
        _plan(run, messages)
    elif remedy == Remedy.RESEND:
        rows.learned(reason=RESENT)
        copies = Message.objects.bulk_create([copy_of(message, run) for message in messages])
        count(run.pk, {MessageStatus.PENDING: len(copies)})
        _plan(run, copies)
        messages_told([message.pk for message in (*messages, *copies)])
        return copies
    else:
        _take_for(run, rows, MessageStatus(remedy))
        messages_changed([run.pk], [message.pk for message in messages])
    messages_told([message.pk for message in messages])
    return messages


def copy_of(message: Message, run: Run) -> Message:
    """The same text to the same phone in `run`, as a message of its own that waits; not saved."""
    same = {name: getattr(message, name) for name in ("contact", "phone", "text", "parts")}
    return Message(run=run, resend_of=message, due_at=now(), changed_at=now(), **same)


def _plan(run: Run, messages: Sequence[Message]) -> None:
    """Let each leave by its contact's clock; what goes to a phone alone leaves by the campaign's."""
    zone = run.campaign.timezone
    set_due(run, [(message.pk, message.contact.timezone if message.contact else zone) for message in messages])


def _take_for(run: Run, rows: MessageQuerySet, status: MessageStatus) -> None:
    """Believe whoever says so."""
    parts = rows.aggregate(all_parts=Sum("parts"))["all_parts"] if status == MessageStatus.SENT else 0
    number = rows.learned(status=status, reason=MARKED)
    count(run.pk, {**moved(MessageStatus.UNKNOWN, status, number), "parts": parts})
