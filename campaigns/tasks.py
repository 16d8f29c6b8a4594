"""The hints that django-q2 carries: each takes an id at most, and calls one service."""

from datetime import timedelta
from functools import cache

from django.conf import settings
from django.db.models import Q

from accounts.services import prune as prune_callers
from accounts.webhooks.services import prune as prune_webhooks
from accounts.webhooks.tasks import hint_waiting
from campaigns import connections, receipts, retention, written
from campaigns.lifecycle import campaign_advance, hint_advance, hint_send, hint_send_by
from campaigns.models import Campaign, Run
from campaigns.sending import breaker, sweeper
from campaigns.sending.lease import SLICE_SECONDS
from campaigns.sending.sender import Slice
from campaigns.sending.transport import transport_for
from campaigns.states import UNFINISHED, CampaignStatus
from directory import bulk
from directory.imports.services import imports_sweep
from measures import meters
from project import queue
from project.clock import now
from project.queue import lasting
from project.slots import Work, slot

_STARTS_SOON = timedelta(days=1)
# A slice costs two connections and some threads, so one that is idle waits for what may begin just now.
_LINGER_SECONDS = 1.0
_AGAIN = timedelta(seconds=1)


@lasting
def advance(campaign_id: int) -> None:
    """A campaign may have something to do."""
    campaign_advance(campaign_id)


@lasting
def send(gateway: str = "") -> None:
    """Messages may be due by that gateway, or else by that of the settings.

    Where senders enough are at work the hint is dropped, for they will see it; of several gateways another may be
    served, so it waits. These take shorter turns.
    """
    name, names = gateway or settings.GATEWAY, connections.working()
    if name not in names:
        return
    with slot(Work.SEND) as free:
        if not free:
            if len(names) > 1:
                hint_send_by(name, now() + _AGAIN)
            return
        adapter, limits = connections.adapter(name), connections.limits(name)
        if Run.objects.backlog_exceeds(limits.concurrency * 10, connections.route_of(name)):
            hint_send_by(name)
        transport = transport_for(adapter)
        try:
            moved = Slice(
                adapter,
                transport,
                stopping=lambda: queue.stopping.value,
                seconds=SLICE_SECONDS / len(names),
                linger=_LINGER_SECONDS,
                limits=limits,
            ).run()
        finally:
            transport.close()
    _hand_on(moved)


def _hand_on(moved: set[int]) -> None:
    """Leave hints for what remains: runs that may have come to their end, and messages that are due, now or soon.

    By any gateway, for messages of the one that has just stopped are its fallback's now.
    """
    over = Q(ends_at__lte=now()) | Q(campaign__ends_at__lte=now()) | Q(campaign__status=CampaignStatus.CANCELLED)
    for campaign_id in Run.objects.filter(over | Q(pending=0, sending=0), pk__in=moved).values_list(
        "campaign_id", flat=True
    ):
        hint_advance(campaign_id)
    for name in connections.working():
        next_due = Run.objects.next_due(connections.route_of(name))
        if next_due is not None:
            hint_send_by(name, max(next_due, breaker.blocked_until(name) or next_due))


def note_written() -> None:
    """Contacts have been written to, and the directory does not know yet."""
    written.note_written()


@lasting
def forget_messages() -> None:
    """Messages are older than they may become."""
    retention.forget_for_a_while()


@lasting
def apply_receipts() -> None:
    """Gateways have told what became of messages."""
    receipts.receipts_apply()


@lasting
def sweep() -> None:
    """Twice a minute: make lost hints anew for all campaigns that are or may soon be active, and rescue lost leases."""
    alive = Campaign.objects.filter(status__in=UNFINISHED, starts_at__lt=now() + _STARTS_SOON, direct=False)
    ended = Q(status=CampaignStatus.CANCELLED) | Q(direct=True)
    left = Campaign.objects.filter(ended & Q(runs__finished_at=None, runs__isnull=False) | Q(runs__remedy__gt=""))
    for campaign_id in alive.union(left).values_list("pk", flat=True):
        hint_advance(campaign_id)
    hint_send()
    bulk.remind()
    written.hint_note()
    receipts.hint_waiting()
    sweeper.rescue(idempotent=cache(connections.takes_repeats))
    imports_sweep()
    hint_waiting()
    queue.prune()
    meters.prune()
    prune_callers()
    prune_webhooks()
    retention.hint_forget()
