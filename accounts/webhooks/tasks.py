"""The background task that sends deliveries, and its hint."""

from datetime import datetime, timedelta
from typing import Final

from django.db.models import Min
from django.db.models.functions import Greatest

from accounts.webhooks import dispatcher
from accounts.webhooks.models import Delivery
from project.core.clock import now
from project.queue import broker
from project.queue.slots import Work, slot
from project.queue.tasks import task

_RETRY_AFTER: Final = timedelta(seconds=1)
# Deliveries due later get their hint from the sweep in time.
_HORIZON: Final = timedelta(seconds=60)


def hint_deliver(due: datetime | None = None) -> None:
    """Start the dispatcher, now or when `due`, unless that is beyond the horizon."""
    if due is None or due < now() + _HORIZON:
        deliver.enqueue(due=due)


def hint_waiting() -> None:
    """Start the dispatcher when the next pending delivery is due."""
    due = next_due()
    if due is not None:
        hint_deliver(due)


def next_due() -> datetime | None:
    """Return when the next pending delivery may be sent."""
    waiting = Delivery.objects.waiting().filter(webhook__disabled_at=None)
    moments = waiting.annotate(may=Greatest("next_at", "webhook__held_until", "webhook__busy_until"))
    first: datetime | None = moments.aggregate(first=Min("may"))["first"]
    return first


@task("accounts.webhooks.tasks.deliver")
def deliver() -> None:
    """Send deliveries for a while, unless another process does; then schedule what is left."""
    with slot(Work.DELIVER) as free:
        if free:
            dispatcher.work(lambda: broker.stopping.value)
    if free:
        hint_waiting()
    else:
        hint_deliver(now() + _RETRY_AFTER)
