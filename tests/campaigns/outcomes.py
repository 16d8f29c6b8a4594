"""Bring messages of a run into a status, and keep the counters as the engine does."""

from datetime import datetime
from decimal import Decimal

from django.utils.timezone import now

from accounts.models import User
from campaigns.costs import Charge, charge
from campaigns.counters import count, count_minutes
from campaigns.models import Attempt, Campaign, Message, Run
from campaigns.planning.lifecycle import campaign_advance
from campaigns.states import MessageStatus
from project.core.money import to_micros
from tests import factories


def started(owner: User, *, contacts: int = 0, **fields: object) -> tuple[Campaign, Run]:
    """A running campaign to all contacts, including this many new ones."""
    for _ in range(contacts):
        factories.contact(owner)
    campaign = factories.campaign(owner, **fields)
    campaign_advance(campaign.pk)
    campaign.refresh_from_db()
    return campaign, campaign.runs.get()


def count_minute(run_id: int, moment: datetime, **numbers: int) -> None:
    """Add numbers of `sent`, `failed` and `retried` to the run's minute of `moment`."""
    count_minutes({(run_id, moment): numbers})


def settle(run: Run, number: int, status: MessageStatus, reason: str = "") -> list[Message]:
    """Move this many pending messages to a status."""
    messages = list(run.messages.filter(status=MessageStatus.PENDING).order_by("pk")[:number])
    assert len(messages) == number
    Message.objects.filter(pk__in=[message.pk for message in messages]).update(
        status=status, reason=reason, attempts=1, phone=79990001122, text="As sent", parts=1, changed_at=now()
    )
    count({run.pk: {MessageStatus.PENDING.value: -number, MessageStatus(status).value: number, "attempts": number}})
    failed = number if status == MessageStatus.FAILED else 0
    count_minute(run.pk, now(), sent=number - failed, failed=failed, retried=0)
    return messages


def retry(run: Run, reason: str = "timeout") -> Message:
    """Record a failed attempt of a pending message, which waits for the next one."""
    message = run.messages.filter(status=MessageStatus.PENDING).earliest("pk")
    message.attempts, message.reason = 1, reason
    message.save()
    Attempt.objects.create(message=message, at=now(), reason=reason, duration_ms=10_000, uncertain=True)
    count({run.pk: {"attempts": 1}})
    return message


def spend(run: Run, price: str, number: int = 1, *, gateway: str = "probe", phone: int = 79990001122) -> None:
    """Count the costs of this many accepted messages of one part."""
    each = Charge(run.pk, now(), gateway, phone, 1, to_micros(Decimal(price)))
    count(charge([each] * number))
