"""Figures and messages as files, written while they are read: the first bytes leave at once, and memory stays flat."""

import csv
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final

from django.db.models import OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.http import StreamingHttpResponse
from django.utils.timezone import localtime

from accounts.models import User
from campaigns.models import Campaign, Message
from campaigns.states import MessageStatus
from campaigns.wording import reason_words
from directory.exports import XLSX, Echo, attachment, defused_if_text
from directory.models import Contact
from directory.sheets import workbook
from project.http import keyset
from reports import figures
from reports.breakdown import Figures, Scope
from reports.models import Facet
from reports.totals import NAMES

_BATCH: Final = 5000
_BLOCK: Final = 500
_CAMPAIGN: Final = ("id", "name", "status", "owner", "starts_at", "ends_at", "total", *MessageStatus.values)
_MESSAGE: Final = ("id", "run", "phone", "status", "reason", "attempts", "parts", "due_at", "changed_at")
# Not by a join: for one PostgreSQL would read all messages in the order of their ids, up to the first of the run.
_RECIPIENT: Final = Coalesce("phone", Subquery(Contact.objects.filter(pk=OuterRef("contact")).values("phone")))
_FIGURES: Final = ("messages", "accepted", *NAMES)
_FACETS: Final = {
    "operators": Facet.OPERATOR,
    "timezones": Facet.TIMEZONE,
    "tags": Facet.TAG,
    "reasons": Facet.REASON,
}
BREAKDOWNS: Final = ("days", "hours", *_FACETS)


def campaigns_file(user: User, kind: str) -> StreamingHttpResponse:
    """All campaigns whose figures the user sees, newest first; `kind` is csv or xlsx."""
    return _file("campaigns", kind, _CAMPAIGN, _campaigns(user))


def messages_file(campaign: Campaign, kind: str) -> StreamingHttpResponse:
    """All messages of a campaign, run by run; times in the zone that is active."""
    return _file(f"campaign-{campaign.pk}-messages", kind, _MESSAGE, _messages(campaign))


def breakdown_file(name: str, kind: str, what: str, scope: Scope) -> StreamingHttpResponse:
    """One of the `BREAKDOWNS` that a report shows, as it shows it."""
    lines = ([value, *told, row.total, row.accepted, *row] for value, told, row in _told(what, scope))
    first = ("reason", "meaning") if what == "reasons" else (what.removesuffix("s"),)
    return _file(name, kind, (*first, *_FIGURES), lines)


def _told(what: str, scope: Scope) -> Iterator[tuple[str, list[str], Figures]]:
    """What each line is of, more words of it, and its figures."""
    if what in _FACETS:
        facet = _FACETS[what]
        for line in scope.by_facet(facet)[facet]:
            yield line.value, [reason_words(line.value)] if facet == Facet.REASON else [], line.figures
    elif what == "hours":
        yield from ((f"{hour:02}", [], row) for hour, row in enumerate(scope.by_hour()))
    else:
        yield from ((day.isoformat(), [], row) for day, row in scope.by_day().items())


def _file(name: str, kind: str, header: tuple[str, ...], rows: Iterable[list[Any]]) -> StreamingHttpResponse:
    safe = ([defused_if_text(cell) for cell in cells] for cells in rows)
    if kind == "xlsx":
        return attachment(workbook(header, safe), f"{name}.xlsx", XLSX)
    return attachment(_lines(header, safe), f"{name}.csv")


def _lines(header: tuple[str, ...], rows: Iterable[list[Any]]) -> Iterator[str]:
    """CSV in UTF-8 with a mark, by which spreadsheets know it."""
    writer = csv.writer(Echo())
    block = ["\ufeff"]
    for cells in chain([header], rows):
        block.append(writer.writerow(cells))
        if len(block) >= _BLOCK:
            yield "".join(block)
            block.clear()
    yield "".join(block)


def _campaigns(user: User) -> Iterator[list[Any]]:
    cursor = None
    while True:
        page = keyset(figures.reported(user).visible().select_related("owner"), cursor, _BLOCK)
        for row in figures.figures_of(page.items):
            campaign = row.campaign
            plan = [localtime(moment).isoformat() for moment in (campaign.starts_at, campaign.ends_at)]
            told = [campaign.pk, campaign.name, campaign.status, campaign.owner.email, *plan]
            yield [*told, row.total, *row.by_status.values()]
        cursor = page.next
        if cursor is None:
            return


def _messages(campaign: Campaign) -> Iterator[list[Any]]:
    """A page after the other by an index, so that nothing is held open."""
    for run in campaign.runs.order_by("occurrence"):
        last, planned = 0, localtime(run.occurrence).isoformat()
        while rows := list(_page(run.pk, last)):
            for pk, *told, due_at, changed_at in rows:
                yield [pk, planned, *told, localtime(due_at).isoformat(), localtime(changed_at).isoformat()]
            last = rows[-1][0]


def _page(run: int, last: int) -> Iterable[tuple[Any, ...]]:
    found = Message.objects.filter(run=run, pk__gt=last).order_by("pk")
    fields = ("pk", _RECIPIENT, "status", "reason", "attempts", "parts", "due_at", "changed_at")
    return found.values_list(*fields)[:_BATCH]
