"""The hint that django-q2 carries: something may be to be delivered."""

from datetime import datetime, timedelta
from typing import Final

from django.db.models import Min
from django.db.models.functions import Greatest

from accounts.webhooks import courier
from accounts.webhooks.models import Delivery
from project import queue
from project.clock import now
from project.slots import Work, slot

_DELIVER: Final = "accounts.webhooks.tasks.deliver"
_AGAIN: Final = timedelta(seconds=1)
# What is due later, the sweep's next rounds come to in time.
_HORIZON: Final = timedelta(seconds=60)


def hint_deliver(due: datetime | None = None) -> None:
    """Ask for a courier, now or when `due`, unless that is beyond the horizon."""
    if due is None or due < now() + _HORIZON:
        queue.enqueue(_DELIVER, due=due)


def hint_waiting() -> None:
    """Ask for a courier when the next delivery that waits may leave."""
    due = next_due()
    if due is not None:
        hint_deliver(due)


def next_due() -> datetime | None:
    """When the next delivery may leave."""
    waiting = Delivery.objects.waiting().filter(webhook__disabled_at=None)
    moments = waiting.annotate(may=Greatest("next_at", "webhook__held_until", "webhook__busy_until"))
    first: datetime | None = moments.aggregate(first=Min("may"))["first"]
    return first


@queue.lasting
def deliver() -> None:
    """Work for a while, unless another process of the cluster does; then look whether something is left."""
    with slot(Work.DELIVER) as free:
        if free:
            courier.work(lambda: queue.stopping.value)
    if free:
        hint_waiting()
    else:
        hint_deliver(now() + _AGAIN)
