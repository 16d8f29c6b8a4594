"""What the webhooks of campaigns' owners are told, in the transaction of the change: nothing that is true gets lost.

Where nobody listens it costs one query for a batch of messages, however many they are. And what the log is told of
messages, once the change is committed; of attempts it hears by `sending.record`.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any, Final

from django.db import transaction

from accounts.webhooks.models import EventType, Webhook
from accounts.webhooks.tasks import hint_deliver
from campaigns.models import Campaign, Message
from campaigns.states import MessageStatus
from project.clock import now
from project.logs import log_each

_ANNOUNCED: Final = {status.value: f"message.{status}" for status in MessageStatus if f"message.{status}" in EventType}
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
    "run__campaign__direct",
    "run__campaign__owner_id",
)


def messages_changed(run_ids: Iterable[int], ids: Collection[int]) -> None:
    """Tell of messages of those runs that have come to a state which is worth telling."""
    active = Webhook.objects.active()
    if not ids or not active.exists():
        return
    listening = list(active.filter(owner__campaigns__runs__in=set(run_ids)).distinct())
    if not listening:
        return
    owners = {webhook.owner_id for webhook in listening}
    rows = Message.objects.filter(pk__in=ids, run__campaign__owner__in=owners, status__in=_ANNOUNCED).order_by("pk")
    events: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in rows.values(*_COLUMNS):
        events[row["run__campaign__owner_id"]].append(_message_event(row))
    for webhook in listening:
        webhook.tell(events[webhook.owner_id])
    _hint_courier(listening)


def _hint_courier(listening: Collection[Webhook]) -> None:
    """Ask for one once the change is committed, for all who tell lock the same hint, and some lock more runs after it.

    Whoever dies before that leaves it to the sweep.
    """
    due = min(webhook.held_until for webhook in listening)
    transaction.on_commit(lambda: hint_deliver(due), robust=True)


def messages_told(ids: Collection[int]) -> None:
    """Have the log tell where these messages stand now, a line for each."""
    told = {"message": "pk", "contact": "contact_id", "run": "run_id", "campaign": "run__campaign_id"}
    told |= {name: name for name in ("status", "reason", "attempts", "resend_of")}
    rows = Message.objects.filter(pk__in=ids).order_by("pk").values_list(*told.values(), "due_at")
    lines = [{**dict(zip(told, row, strict=False)), "due": row[-1].isoformat()} for row in rows]
    transaction.on_commit(lambda: log_each("vestnik.sending", "message", lines))


def _message_event(row: dict[str, Any]) -> dict[str, Any]:
    data = {name: row[name] for name in ("status", "reason", "attempts", "parts")}
    data |= {
        "message": row["pk"],
        "campaign": None if row["run__campaign__direct"] else row["run__campaign_id"],
        "contact": row["contact_id"],
        "phone": str(row["phone"] or row["contact__phone"]),
    }
    return {"type": _ANNOUNCED[row["status"]], "timestamp": row["changed_at"].isoformat(), "data": data}


def campaign_changed(campaign: Campaign, event: EventType) -> None:
    """Tell that it has started, or finished; then with its figures."""
    listening = list(Webhook.objects.active().filter(owner=campaign.owner_id))
    if not listening or campaign.direct:
        return
    figures = campaign.runs.all().figures()
    data = {"campaign": campaign.pk, "name": campaign.name, "total": figures["total"]}
    data["by_status"] = {status: figures[status] for status in MessageStatus.values}
    for webhook in listening:
        webhook.tell([{"type": event.value, "timestamp": now().isoformat(), "data": data}])
    _hint_courier(listening)
