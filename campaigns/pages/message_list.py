"""The messages that a campaign's page lists, and the reasons of failures."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection
from django.db.models import Q, Sum

from campaigns.messages.provider_ids import messages_with
from campaigns.models import Message, MessageQuerySet, Run, RunReason
from campaigns.states import QUARANTINED, RESENT, UNSUCCESSFUL, MessageStatus
from directory.models import Contact
from project.http.lists import NEWEST, OrderedPage, page_after

LATEST, ALL = "latest", "all"
_PAGE_SIZE: Final = 25
_MAX_READ: Final = 100
MAX_FAILED: Final = 2000
_REASONS_SHOWN: Final = 10
_GROUPS: Final[dict[str, Q]] = {
    "retrying": Q(listed_status=MessageStatus.PENDING, attempts__gt=0),
    "waiting": Q(status=MessageStatus.PENDING, attempts=0) | Q(status=MessageStatus.SENDING),
}


@dataclass(frozen=True)
class Reason:
    """A failure code and how often it occurred."""

    code: str
    number: int


@dataclass(frozen=True)
class Failures:
    """Reasons of failed messages, most frequent first, and of failed attempts, including retried ones.

    `unknown` messages wait for a user's resolution; `quarantined` of them were stopped after three leases. `more`:
    there are more failures than were counted.
    """

    messages: list[Reason]
    attempts: list[Reason]
    unknown: int = 0
    quarantined: int = 0
    more: bool = False


def messages_page(run: Run, *, status: str | None, q: str | None, cursor: str | None) -> OrderedPage[Message]:
    """One page of a run's messages; unknown values of `status` do not filter."""
    found = Message.objects.filter(run=run).select_related("contact")
    if status == LATEST and not q and run.reached:
        return OrderedPage(_latest(found, run), None)
    return page_after(_filtered(found, status, q), NEWEST, cursor, _PAGE_SIZE)


def _latest(found: MessageQuerySet, run: Run) -> list[Message]:
    """The messages that changed last, latest first. No index has that order, but messages are sent in the order of ids.

    So only messages just before the last one sent are read; with several time zones, those of the current zone.
    """
    recent = found.exclude(status=MessageStatus.PENDING, attempts=0).filter(pk__lte=run.reached)
    return list(
        found.filter(pk__in=recent.order_by("-pk").values("pk")[:_MAX_READ]).order_by("-changed_at", "-pk")[:_PAGE_SIZE]
    )


def _filtered(found: MessageQuerySet, status: str | None, q: str | None) -> MessageQuerySet:
    if status in _GROUPS:
        found = found.filter(_GROUPS[status])
    elif status in MessageStatus.values:
        found = found.in_status(status)
    return _matching(found, q) if q else found


def _matching(found: MessageQuerySet, q: str) -> MessageQuerySet:
    """The message with this id of a provider, or else those to contacts with this phone or name."""
    known = found.filter(pk__in=messages_with(q.strip()))
    return known if known.exists() else found.filter(contact__in=Contact.objects.search(q))


def failures_of(runs: list[Any]) -> Failures:
    """Why messages and attempts of these runs failed; two queries at a bounded cost."""
    failed = any(getattr(run, status) for run in runs for status in UNSUCCESSFUL)
    groups = _groups(runs) if failed else []
    unknown = [(reason, number) for status, reason, number in groups if status == MessageStatus.UNKNOWN]
    by_reason = RunReason.objects.filter(run__in=runs).values_list("reason").annotate(Sum("number"))
    return Failures(
        messages=_most_frequent((reason, number) for _, reason, number in groups if reason != RESENT),
        attempts=_most_frequent(by_reason),
        unknown=sum(number for reason, number in unknown if reason != RESENT),
        quarantined=sum(number for reason, number in unknown if reason == QUARANTINED),
        more=sum(number for *_, number in groups) == MAX_FAILED,
    )


def _groups(runs: list[Any]) -> list[tuple[str, str, int]]:
    """Failed messages by status and reason; at most `MAX_FAILED` are counted."""
    failed = Message.objects.filter(run__in=runs, listed_status__in=UNSUCCESSFUL).order_by()
    sample_sql, parameters = failed.values("status", "reason")[:MAX_FAILED].query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT status, reason, COUNT(*) FROM ({sample_sql}) AS picked GROUP BY 1, 2", parameters)  # noqa: S608
        return list(cursor.fetchall())


def _most_frequent(numbers: Iterable[tuple[str, int]]) -> list[Reason]:
    totals: dict[str, int] = {}
    for reason, number in numbers:
        totals[reason] = totals.get(reason, 0) + number
    return [Reason(*each) for each in sorted(totals.items(), key=lambda each: (-each[1], each[0]))[:_REASONS_SHOWN]]
