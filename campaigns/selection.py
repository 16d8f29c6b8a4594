"""Which messages of a campaign a page shows, and why some of them failed."""

from dataclasses import dataclass
from typing import Final

from django.db.models import Count, Q

from campaigns.models import Campaign, Message, MessageQuerySet, Run
from campaigns.states import QUARANTINED, RESENT, MessageStatus
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


@dataclass(frozen=True)
class Doubts:
    """How many messages are unknown and wait for somebody's word, and how many of them were stopped after three tries.

    `working`: somebody has said it, and it is being done.
    """

    number: int = 0
    quarantined: int = 0
    working: bool = False


def doubts_of(statistics: Statistics) -> Doubts:
    """What a campaign's page says of messages that are unknown."""
    if not statistics.by_status[MessageStatus.UNKNOWN]:
        return Doubts()
    unresolved = Message.objects.unresolved().filter(run__in=statistics.runs)
    stopped = Count("pk", filter=Q(reason=QUARANTINED))
    numbers = unresolved.aggregate(number=Count("pk"), quarantined=stopped)
    return Doubts(**numbers, working=any(run.remedy for run in statistics.runs))


def failure_reasons(statistics: Statistics) -> list[Reason]:
    """The commonest reasons of what failed, most messages first; what was sent again is told by the new message."""
    if not any(statistics.by_status[status] for status in _FAILED):
        return []
    failed = Message.objects.filter(run__in=statistics.runs, listed_status__in=_FAILED)
    rows = failed.exclude(reason=RESENT).values("reason").annotate(number=Count("pk")).order_by("-number", "reason")
    return [Reason(row["reason"], row["number"]) for row in rows[:_REASONS_SHOWN]]
