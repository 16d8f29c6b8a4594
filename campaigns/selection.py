"""Which messages of a campaign a page shows, and why some of them failed."""

from dataclasses import dataclass
from typing import Final

from django.db.models import Count, Q

from campaigns.models import Campaign, Message, MessageQuerySet, Run
from campaigns.states import MessageStatus
from campaigns.statistics import Statistics
from directory.models import Contact
from project.http import Slice, keyset

_PAGE: Final = 25
_REASONS_SHOWN: Final = 10
_FAILED: Final = (MessageStatus.FAILED, MessageStatus.UNDELIVERED, MessageStatus.UNKNOWN)
_GROUPS: Final[dict[str, Q]] = {
    "retrying": Q(listed_status=MessageStatus.PENDING, attempts__gt=0),
    "waiting": Q(status=MessageStatus.PENDING, attempts=0) | Q(status=MessageStatus.SENDING),
}


@dataclass(frozen=True)
class Reason:
    """A failure's code and how many messages ended by it."""

    code: str
    number: int


def messages_page(
    campaign: Campaign, *, run: int | None, status: str | None, q: str | None, cursor: int | None
) -> Slice[Message]:
    """One page of a run's messages, of the latest run unless another is asked for; what is unknown does not narrow."""
    runs = campaign.runs.order_by("-occurrence")
    chosen: Run | None = runs.filter(pk=run).first() if run is not None else runs.first()
    found = Message.objects.filter(run=chosen).select_related("contact") if chosen else Message.objects.none()
    return keyset(_narrowed(found, status, q), cursor, _PAGE)


def _narrowed(found: MessageQuerySet, status: str | None, q: str | None) -> MessageQuerySet:
    if status in _GROUPS:
        found = found.filter(_GROUPS[status])
    elif status in MessageStatus.values:
        found = found.in_status(status)
    return found.filter(contact__in=Contact.objects.search(q)) if q else found


def failure_reasons(statistics: Statistics) -> list[Reason]:
    """The commonest reasons of what failed, most messages first."""
    if not any(statistics.by_status[status] for status in _FAILED):
        return []
    failed = Message.objects.filter(run__in=statistics.runs, listed_status__in=_FAILED)
    rows = failed.values("reason").annotate(number=Count("pk")).order_by("-number", "reason")
    return [Reason(row["reason"], row["number"]) for row in rows[:_REASONS_SHOWN]]
