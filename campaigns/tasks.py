"""The sending task, the periodic task, and the names of this app's tasks in queues."""

from datetime import timedelta
from functools import cache

from django.conf import settings
from django.db.models import Q

from accounts.services import prune as prune_callers
from accounts.webhooks.services import prune as prune_webhooks
from accounts.webhooks.tasks import hint_waiting
from campaigns.gateways import exchanges, registry
from campaigns.messages import last_contacted, receipts
from campaigns.messages.last_contacted import update_last_contacted as note_written
from campaigns.messages.receipts import apply_receipts
from campaigns.models import NOTHING_OPEN, Campaign, Run
from campaigns.planning.lifecycle import advance, hint_advance, hint_send, hint_send_by
from campaigns.privacy import retention
from campaigns.privacy.retention import forget_messages
from campaigns.sending import circuit_breaker, rescuer
from campaigns.sending.lease import SESSION_SECONDS
from campaigns.sending.pulling import pull_receipts
from campaigns.sending.session import SendSession
from campaigns.sending.transport import transport_for
from campaigns.states import CampaignStatus
from directory.bulk_actions import work
from directory.contacts.derivation import derive_missing
from directory.imports.services import imports_sweep
from project.core.clock import now
from project.observability.metrics import meters
from project.queue import broker
from project.queue.slots import Work, slot
from project.queue.tasks import task

__all__ = ["advance", "apply_receipts", "forget_messages", "note_written", "send", "sweep"]

_STARTS_SOON = timedelta(days=1)
# A session costs two connections and some threads, so an idle one waits a moment for more work.
_LINGER_SECONDS = 1.0
_RETRY_DELAY = timedelta(seconds=1)


@task("campaigns.tasks.send")
def send(gateway: str = "") -> None:
    """Send what is due through this gateway, or else the one of the settings.

    If no slot is free, the hint is dropped, because the running senders find the work. With several gateways it is
    postponed instead, because they may serve another one. Their sessions are shorter.
    """
    name, names = gateway or settings.GATEWAY, registry.active_names()
    if name not in names:
        return
    with slot(Work.SEND) as free:
        if not free:
            if len(names) > 1:
                hint_send_by(name, now() + _RETRY_DELAY)
            return
        driver, limits = registry.driver(name), registry.limits(name)
        if Run.objects.backlog_exceeds(limits.concurrency * 10, registry.route_of(name)):
            hint_send_by(name)
        transport = transport_for(driver)
        try:
            leased_from = SendSession(
                driver,
                transport,
                stopping=lambda: broker.stopping.value,
                seconds=SESSION_SECONDS / len(names),
                linger=_LINGER_SECONDS,
                limits=limits,
            ).run()
        finally:
            transport.close()
    _hint_remaining(leased_from)


def _hint_remaining(run_ids: set[int]) -> None:
    """Leave hints for the remaining work: runs that may be finished, and messages that are due now or soon.

    For all gateways, because messages of one that has just stopped now belong to its fallback.
    """
    ended = Q(ends_at__lte=now()) | Q(campaign__ends_at__lte=now()) | Q(campaign__status=CampaignStatus.CANCELLED)
    for campaign_id in Run.objects.filter(ended | NOTHING_OPEN, pk__in=run_ids).values_list("campaign_id", flat=True):
        hint_advance(campaign_id)
    for name in registry.active_names():
        next_due = Run.objects.next_due(registry.route_of(name))
        if next_due is not None:
            hint_send_by(name, max(next_due, circuit_breaker.blocked_until(name) or next_due))


@task("campaigns.tasks.sweep", periodic=True)
def sweep() -> None:
    """Twice a minute, re-create lost hints of campaigns that are or will soon be active, and run the rescuer."""
    alive = Campaign.objects.planned().alive().filter(starts_at__lt=now() + _STARTS_SOON)
    ended = Q(status=CampaignStatus.CANCELLED) | Q(transactional=True)
    unsettled = Campaign.objects.filter(
        ended & Q(runs__finished_at=None, runs__isnull=False) | Q(runs__resolution__gt="")
    )
    for campaign_id in alive.union(unsettled).values_list("pk", flat=True):
        hint_advance(campaign_id)
    hint_send()
    work.requeue_unfinished()
    last_contacted.hint_update()
    receipts.hint_waiting()
    rescuer.rescue(idempotent=cache(registry.is_idempotent))
    pull_receipts()
    imports_sweep()
    hint_waiting()
    broker.prune()
    meters.prune()
    exchanges.prune()
    prune_callers()
    prune_webhooks()
    retention.hint_forget()
    derive_missing()
