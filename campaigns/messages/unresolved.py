"""Resolution of unknown messages: retry, resend, mark as sent, or mark as failed."""

import time
from collections.abc import Mapping, Sequence
from typing import Final

from django.db import transaction
from django.db.models import Sum

from campaigns.costs import charge, charges_of
from campaigns.counters import count, count_ended, moved
from campaigns.gateways import registry
from campaigns.models import Campaign, Message, MessageQuerySet, Run
from campaigns.planning.recipients import set_due
from campaigns.states import MARKED, RESENT, MessageStatus, Resolution
from campaigns.webhook_events import log_messages, messages_changed
from project.core.clock import now

SENDING: Final = (Resolution.RETRY, Resolution.RESEND)
_BATCH: Final = 2000
_MAX_SECONDS: Final = 20.0


def resolvable(resolution: str) -> MessageQuerySet:
    """The messages that a resolution applies to."""
    found = Message.objects.unresolved()
    return found.filter(registry.repeatable()) if resolution == Resolution.RETRY else found


def allows(run: Run, resolution: str) -> bool:
    """Whether the run's messages may get that resolution now: after its end nothing is sent."""
    return resolution not in SENDING or run.retryable


def mark(campaign: Campaign, resolution: Resolution) -> bool:
    """Mark the runs that `resolve_marked` has to process; return whether there are any."""
    runs = []
    for run in campaign.runs.filter(unknown__gt=0):
        run.campaign = campaign
        if allows(run, resolution) and resolvable(resolution).filter(run=run).exists():
            runs.append(run.pk)
    marked = Run.objects.filter(pk__in=runs)
    if resolution in SENDING:
        marked.update(finished_at=None)
    return marked.update(resolution=resolution, resolution_before=now()) > 0


def resolve_marked(campaign: Campaign) -> bool:
    """Process the marks of a campaign's runs and clear them; return whether work remains.

    It works in batches, to hold no lock for long, and stops after a while or if the campaign is changed meanwhile.
    Processed messages are no longer unresolved, so the next call continues where this one stopped.
    """
    deadline = time.monotonic() + _MAX_SECONDS
    marked = campaign.runs.exclude(resolution="")
    for run in marked.all():
        run.campaign = campaign
        while time.monotonic() < deadline and _resolve_batch(run):
            pass
    return marked.exists()


def _resolve_batch(run: Run) -> bool:
    """Process the next batch of a marked run; return whether there may be another."""
    with transaction.atomic():
        if not run.campaign.lock_if_unchanged():
            return False
        found = resolvable(run.resolution).filter(run=run, changed_at__lte=run.resolution_before).order_by("pk")
        locked = found.select_related("contact").select_for_update(of=("self",))
        rows = list(locked[:_BATCH]) if allows(run, run.resolution) else []
        if rows:
            apply(run, rows, Resolution(run.resolution))
        else:
            Run.objects.filter(pk=run.pk).update(resolution="", resolution_before=None)
    return bool(rows)


def apply(run: Run, messages: Sequence[Message], resolution: Resolution) -> Sequence[Message]:
    """Resolve these locked messages of a run; return them, or the new messages sent instead."""
    rows = Message.objects.filter(pk__in=[message.pk for message in messages])
    if resolution == Resolution.RETRY:
        refund: Mapping[str, int] = charge(charges_of(rows), sign=-1).get(run.pk, {})
        rows.reset_to_pending()
        count({run.pk: {**moved(MessageStatus.UNKNOWN, MessageStatus.PENDING, len(messages)), **refund}})
        _plan(run, messages)
    elif resolution == Resolution.RESEND:
        rows.update_ended(now(), reason=RESENT)
        copies = Message.objects.bulk_create([copy_of(message, run) for message in messages])
        count({run.pk: {MessageStatus.PENDING: len(copies)}})
        _plan(run, copies)
        log_messages([message.pk for message in (*messages, *copies)])
        return copies
    else:
        _mark_as(run, rows, MessageStatus(resolution))
        messages_changed([run.pk], [message.pk for message in messages])
    log_messages([message.pk for message in messages])
    return messages


def copy_of(message: Message, run: Run) -> Message:
    """A new pending message in `run` with the same text and phone; not saved."""
    copied = {name: getattr(message, name) for name in ("contact", "phone", "text", "parts", "route", "sender")}
    return Message(run=run, resend_of=message, due_at=now(), changed_at=now(), **copied)


def _plan(run: Run, messages: Sequence[Message]) -> None:
    """Set due times by the contacts' time zones; transactional messages use the campaign's."""
    zone = run.campaign.timezone
    set_due(run, [(message.pk, message.contact.timezone if message.contact else zone) for message in messages])


def _mark_as(run: Run, rows: MessageQuerySet, status: MessageStatus) -> None:
    """Mark messages as sent or failed, as a user decided."""
    sent = status == MessageStatus.SENT
    parts = rows.aggregate(all_parts=Sum("parts"))["all_parts"] if sent else 0
    count_ended(rows, status.value)
    refund: Mapping[str, int] = {} if sent else charge(charges_of(rows), sign=-1).get(run.pk, {})
    number = rows.update_ended(now(), status=status, reason=MARKED)
    count({run.pk: {**moved(MessageStatus.UNKNOWN, status, number), "parts": parts, **refund}})
