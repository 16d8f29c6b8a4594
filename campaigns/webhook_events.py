"""Webhook events and log lines about campaigns and messages.

Events are stored in the transaction of the change, so none gets lost. Without webhooks this costs one query per batch
of messages. Changes of messages are logged after the commit; attempts are logged by `sending.outcomes`.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any, Final

from django.db import transaction

from accounts.webhooks.models import EventType, Webhook
from accounts.webhooks.tasks import hint_deliver
from campaigns.models import Campaign, Message
from campaigns.states import MessageStatus
from project.core.clock import now
from project.observability.logs import log_each

_EVENT_TYPES: Final = {
    status.value: f"message.{status}" for status in MessageStatus if f"message.{status}" in EventType
}
_COLUMNS: Final = (
    "pk",
    "status",
    "changed_at",
    "reason",
    "attempts",
    "parts",
    "phone",
    "contact__phone",
    "contact_id",
    "run__campaign_id",
    "run__campaign__transactional",
    "run__campaign__owner_id",
)


def messages_changed(run_ids: Iterable[int], ids: Collection[int]) -> None:
    """Send events to webhooks for messages of those runs whose new status has an event type."""
    active_webhooks = Webhook.objects.active()
    if not ids or not active_webhooks.exists():
        return
    webhooks = list(active_webhooks.filter(owner__campaigns__runs__in=set(run_ids)).distinct())
    if not webhooks:
        return
    owners = {webhook.owner_id for webhook in webhooks}
    rows = Message.objects.filter(pk__in=ids, run__campaign__owner__in=owners, status__in=_EVENT_TYPES).order_by("pk")
    events: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in rows.values(*_COLUMNS):
        events[row["run__campaign__owner_id"]].append(_message_event(row))
    for webhook in webhooks:
        webhook.add_events(events[webhook.owner_id])
    _hint_dispatcher(webhooks)


def _hint_dispatcher(webhooks: Collection[Webhook]) -> None:
    """Hint the dispatcher after the commit: the hint is one locked row, and some callers lock more runs afterwards.

    If the process dies before that, the sweep hints the dispatcher.
    """
    due = min(webhook.held_until for webhook in webhooks)
    transaction.on_commit(lambda: hint_deliver(due), robust=True)


def log_messages(ids: Collection[int]) -> None:
    """Log the current state of each message after the commit."""
    columns = {"message": "pk", "contact": "contact_id", "run": "run_id", "campaign": "run__campaign_id"}
    columns |= {name: name for name in ("status", "reason", "attempts", "resend_of")}
    rows = Message.objects.filter(pk__in=ids).order_by("pk").values_list(*columns.values(), "due_at")
    lines = [{**dict(zip(columns, row, strict=False)), "due": row[-1].isoformat()} for row in rows]
    transaction.on_commit(lambda: log_each("vestnik.sending", "message", lines))


def _message_event(row: dict[str, Any]) -> dict[str, Any]:
    data = {name: row[name] for name in ("status", "reason", "attempts", "parts")}
    data |= {
        "message": row["pk"],
        "campaign": None if row["run__campaign__transactional"] else row["run__campaign_id"],
        "contact": row["contact_id"],
        "phone": str(row["phone"] or row["contact__phone"]),
    }
    return {"type": _EVENT_TYPES[row["status"]], "timestamp": row["changed_at"].isoformat(), "data": data}


def campaign_changed(campaign: Campaign, event: EventType) -> None:
    """Send an event to webhooks with the campaign's figures."""
    webhooks = list(Webhook.objects.active().filter(owner=campaign.owner_id))
    if not webhooks or campaign.transactional:
        return
    figures = campaign.runs.all().figures()
    data = {"campaign": campaign.pk, "name": campaign.name, "total": figures["total"]}
    data["by_status"] = {status: figures[status] for status in MessageStatus.values}
    for webhook in webhooks:
        webhook.add_events([{"type": event.value, "timestamp": now().isoformat(), "data": data}])
    _hint_dispatcher(webhooks)
