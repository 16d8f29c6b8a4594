"""The hints that django-q2 carries: each takes an id at most, and calls one service."""

from datetime import timedelta

from django.conf import settings
from django.db.models import Q

from accounts.services import prune as prune_callers
from accounts.webhooks.services import prune as prune_webhooks
from accounts.webhooks.tasks import hint_waiting
from campaigns import connections, receipts, retention, written
from campaigns.lifecycle import campaign_advance, hint_advance, hint_send
from campaigns.models import Campaign, Run
from campaigns.sending import breaker, sweeper
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


@lasting
def advance(campaign_id: int) -> None:
    """A campaign may have something to do."""
    campaign_advance(campaign_id)


@lasting
def send() -> None:
    """Messages may be due. Where senders enough are at work the hint is dropped, for they will see it."""
    with slot(Work.SEND) as free:
        if not free:
            return
        if Run.objects.backlog_exceeds(settings.GATEWAY_CONCURRENCY * 10):
            hint_send()
        adapter = connections.adapter()
        transport = transport_for(adapter)
        try:
            moved = Slice(adapter, transport, stopping=lambda: queue.stopping.value, linger=_LINGER_SECONDS).run()
        finally:
            transport.close()
    _hand_on(adapter.name, moved)


def _hand_on(gateway: str, moved: set[int]) -> None:
    """Leave hints for what remains: runs that may have come to their end, and messages that are due, now or soon."""
    over = Q(ends_at__lte=now()) | Q(campaign__ends_at__lte=now()) | Q(campaign__status=CampaignStatus.CANCELLED)
    for campaign_id in Run.objects.filter(over | Q(pending=0, sending=0), pk__in=moved).values_list(
        "campaign_id", flat=True
    ):
        hint_advance(campaign_id)
    next_due = Run.objects.next_due()
    if next_due is not None:
        hint_send(max(next_due, breaker.blocked_until(gateway) or next_due))


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
    sweeper.rescue(idempotent=connections.adapter().idempotent)
    imports_sweep()
    hint_waiting()
    queue.prune()
    meters.prune()
    prune_callers()
    prune_webhooks()
    retention.hint_forget()
