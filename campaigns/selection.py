"""Which messages of a campaign a page shows, and why some of them failed."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection
from django.db.models import Q, Sum

from campaigns.models import Message, MessageQuerySet, Run, RunReason
from campaigns.states import QUARANTINED, RESENT, MessageStatus
from directory.models import Contact
from project.lists import NEWEST, Ordered, page_after

LATEST, ALL = "latest", "all"
_PAGE: Final = 25
_LOOKED_AT: Final = 100
MOST_FAILED: Final = 2000
_REASONS_SHOWN: Final = 10
_FAILED: Final = (MessageStatus.FAILED, MessageStatus.UNDELIVERED, MessageStatus.UNKNOWN)
_GROUPS: Final[dict[str, Q]] = {
    "retrying": Q(listed_status=MessageStatus.PENDING, attempts__gt=0),
    "waiting": Q(status=MessageStatus.PENDING, attempts=0) | Q(status=MessageStatus.SENDING),
}


@dataclass(frozen=True)
class Reason:
    """A failure's code and how often it was the cause."""

    code: str
    number: int


@dataclass(frozen=True)
class Failures:
    """Why messages failed, most messages first, and why attempts did, those included that were repeated.

    `unknown` messages wait for somebody's word, `quarantined` of them were stopped after three tries. `more`: there are
    more than were looked at.
    """

    messages: list[Reason]
    attempts: list[Reason]
    unknown: int = 0
    quarantined: int = 0
    more: bool = False


def messages_page(run: Run, *, status: str | None, q: str | None, cursor: str | None) -> Ordered[Message]:
    """One page of a run's messages; what is unknown does not narrow."""
    found = Message.objects.filter(run=run).select_related("contact")
    if status == LATEST and not q and run.reached:
        return Ordered(_latest(found, run), None)
    return page_after(_narrowed(found, status, q), NEWEST, cursor, _PAGE)


def _latest(found: MessageQuerySet, run: Run) -> list[Message]:
    """What happened last, the latest first: no index knows it, but messages leave in the order of their ids.

    So it is looked for just before the last one that left; of several time zones by turns, in that of the moment.
    """
    near = found.exclude(status=MessageStatus.PENDING, attempts=0).filter(pk__lte=run.reached)
    return list(
        found.filter(pk__in=near.order_by("-pk").values("pk")[:_LOOKED_AT]).order_by("-changed_at", "-pk")[:_PAGE]
    )


def _narrowed(found: MessageQuerySet, status: str | None, q: str | None) -> MessageQuerySet:
    if status in _GROUPS:
        found = found.filter(_GROUPS[status])
    elif status in MessageStatus.values:
        found = found.in_status(status)
    return found.filter(contact__in=Contact.objects.search(q)) if q else found


def failures_of(runs: list[Any]) -> Failures:
    """Why something failed in those runs; two queries, at a cost that has a bound."""
    failed = any(getattr(run, status) for run in runs for status in _FAILED)
    groups = _groups(runs) if failed else []
    unknown = [(reason, number) for status, reason, number in groups if status == MessageStatus.UNKNOWN]
    by_reason = RunReason.objects.filter(run__in=runs).values_list("reason").annotate(Sum("number"))
    return Failures(
        messages=_commonest((reason, number) for _, reason, number in groups if reason != RESENT),
        attempts=_commonest(by_reason),
        unknown=sum(number for reason, number in unknown if reason != RESENT),
        quarantined=sum(number for reason, number in unknown if reason == QUARANTINED),
        more=sum(number for *_, number in groups) == MOST_FAILED,
    )


def _groups(runs: list[Any]) -> list[tuple[str, str, int]]:
    """Messages that failed, by status and reason: `MOST_FAILED` of them, if there are more."""
    failed = Message.objects.filter(run__in=runs, listed_status__in=_FAILED).order_by()
    some, parameters = failed.values("status", "reason")[:MOST_FAILED].query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT status, reason, COUNT(*) FROM ({some}) AS picked GROUP BY 1, 2", parameters)  # noqa: S608
        return list(cursor.fetchall())


def _commonest(numbers: Iterable[tuple[str, int]]) -> list[Reason]:
    added: dict[str, int] = {}
    for reason, number in numbers:
        added[reason] = added.get(reason, 0) + number
    return [Reason(*each) for each in sorted(added.items(), key=lambda each: (-each[1], each[0]))[:_REASONS_SHOWN]]
