"""Exports of figures and messages, streamed: the download begins at once, and memory use is constant."""

import csv
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from itertools import chain
from typing import Any, Final

from django.db.models import Case, Exists, OuterRef, Subquery, When
from django.db.models.functions import Coalesce
from django.http import StreamingHttpResponse
from django.utils.functional import Promise
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from campaigns.models import Campaign, Message, Run
from campaigns.states import CHARGED, MessageStatus
from campaigns.wording import reason_words
from directory.exports.contacts import XLSX, Echo, attachment, escape_cell
from directory.exports.xlsx import workbook
from directory.models import Contact
from project.core.money import from_micros
from project.http.paging import keyset
from reports.analytics.breakdown import Figures, Scope
from reports.analytics.costs import COST_BREAKDOWNS, Cost, Costs
from reports.analytics.facets import BREAKDOWNS
from reports.analytics.periods import Period
from reports.analytics.totals import NAMES
from reports.dashboard import figures
from reports.models import Facet

_BATCH: Final = 5000
_BLOCK: Final = 500
_CAMPAIGN: Final = ("id", "name", "status", "owner", "starts_at", "ends_at", "total", *MessageStatus.values, "cost")
_MESSAGE: Final = (
    *("id", "run", "phone", "status", "reason", "attempts", "parts", "due_at", "changed_at"),
    *("gateway", "cost", "sender"),
)
# Not a join: with one, PostgreSQL would read all messages by id up to the first of the run.
_RECIPIENT: Final = Coalesce("phone", Subquery(Contact.objects.filter(pk=OuterRef("contact")).values("phone")))
# A message has its price before it is sent, but costs it only if a gateway has or may have accepted it.
_CHARGED: Final = Case(When(status__in=CHARGED, then="cost"))
_FIGURES: Final = ("messages", "accepted", *NAMES)
_FACETS: Final = {breakdown.export: facet for facet, breakdown in BREAKDOWNS.items()}
BREAKDOWN_ITEMS: Final[dict[str, str | Promise]] = {
    "days": _("By day"),
    "hours": _("By hour of the day"),
    **{breakdown.export: breakdown.item for breakdown in BREAKDOWNS.values()},
    **{what: breakdown.title for what, breakdown in COST_BREAKDOWNS.items()},
}
"""The exports of a report by the names in their addresses."""


def items(*, costs: bool) -> dict[str, str | Promise]:
    """The exports that a report offers, `costs` only where there are any."""
    return {what: item for what, item in BREAKDOWN_ITEMS.items() if costs or what not in COST_BREAKDOWNS}


def campaigns_file(user: User, kind: str, period: Period | None) -> StreamingHttpResponse:
    """The campaigns visible to the user with a run begun in the period (None: all time), newest first."""
    return _file("campaigns", kind, "Campaigns", _CAMPAIGN, _campaigns(user, period))


def messages_file(campaign: Campaign, kind: str) -> StreamingHttpResponse:
    """All messages of a campaign, run by run; times in the active zone."""
    return _file(f"campaign-{campaign.pk}-messages", kind, "Messages", _MESSAGE, _messages(campaign))


def breakdown_file(name: str, kind: str, what: str, scope: Scope) -> StreamingHttpResponse:
    """One of the `BREAKDOWN_ITEMS`, as a report shows it."""
    if what in COST_BREAKDOWNS:
        return _costs_file(name, kind, what, scope.costs)
    lines = ([value, *notes, row.total, row.accepted, *row] for value, notes, row in _breakdown(what, scope))
    column = _FACETS[what].value if what in _FACETS else what.removesuffix("s")
    value_columns = (column, "meaning") if column == Facet.REASON else (column,)
    return _file(name, kind, what.capitalize(), (*value_columns, *_FIGURES), lines)


def _costs_file(name: str, kind: str, what: str, costs: Costs) -> StreamingHttpResponse:
    breakdown = COST_BREAKDOWNS[what]
    words = [breakdown.words] * (len(breakdown.columns) - 1)
    lines = (
        [value, *(label(value) for label in words), messages, parts, from_micros(cost)]
        for value, (messages, parts, cost) in costs.lines(breakdown)
    )
    return _file(name, kind, what.capitalize(), (*breakdown.columns, *Cost._fields), lines)


def _breakdown(what: str, scope: Scope) -> Iterator[tuple[str | date, list[str], Figures]]:
    """The value, notes and figures of each line."""
    if what in _FACETS:
        facet = _FACETS[what]
        for line in scope.by_facet(facet)[facet]:
            yield line.value, [reason_words(line.value)] if facet == Facet.REASON else [], line.figures
    elif what == "hours":
        yield from ((f"{hour:02}", [], row) for hour, row in enumerate(scope.by_hour()))
    else:
        yield from ((day, [], row) for day, row in scope.by_day().items())


def _file(
    name: str, kind: str, title: str, header: tuple[str, ...], rows: Iterable[list[Any]]
) -> StreamingHttpResponse:
    """A CSV or XLSX response; `title` is the name of the sheet."""
    safe = ([escape_cell(cell) for cell in cells] for cells in rows)
    if kind == "xlsx":
        return attachment(workbook(title, header, safe), f"{name}.xlsx", XLSX)
    return attachment(_lines(header, safe), f"{name}.csv")


def _lines(header: tuple[str, ...], rows: Iterable[list[Any]]) -> Iterator[str]:
    """CSV in UTF-8 with a byte order mark for spreadsheets."""
    writer = csv.writer(Echo())
    block = ["\ufeff"]
    for cells in chain([header], rows):
        block.append(writer.writerow(map(_iso_format, cells)))
        if len(block) >= _BLOCK:
            yield "".join(block)
            block.clear()
    yield "".join(block)


def _iso_format(cell: Any) -> Any:
    """Format dates and times in ISO 8601."""
    return cell.isoformat() if isinstance(cell, date) else cell


def _campaigns(user: User, period: Period | None) -> Iterator[list[Any]]:
    found, cursor = figures.reported(user).visible().select_related("owner"), None
    if period is not None:
        runs = Run.objects.filter(campaign=OuterRef("pk"), started_at__gte=period.since, started_at__lt=period.until)
        found = found.filter(Exists(runs))
    while True:
        page = keyset(found, cursor, _BLOCK)
        for row in figures.figures_of(page.items):
            campaign = row.campaign
            plan = [localtime(moment) for moment in (campaign.starts_at, campaign.ends_at)]
            cells = [campaign.pk, campaign.name, campaign.status, campaign.owner.email, *plan]
            yield [*cells, row.total, *row.by_status.values(), _amount(row.cost or None)]
        cursor = page.next
        if cursor is None:
            return


def _messages(campaign: Campaign) -> Iterator[list[Any]]:
    """Read page by page through an index, so that no query stays open."""
    for run in campaign.runs.order_by("occurrence"):
        last, planned = 0, localtime(run.occurrence)
        while rows := list(_page(run.pk, last)):
            for pk, *cells, due_at, changed_at, gateway, cost, sender in rows:
                times = localtime(due_at), localtime(changed_at)
                yield [pk, planned, *cells, *times, gateway or "", _amount(cost), sender or ""]
            last = rows[-1][0]


def _page(run: int, last: int) -> Iterable[tuple[Any, ...]]:
    found = Message.objects.filter(run=run, pk__gt=last).order_by("pk")
    fields = ("pk", _RECIPIENT, "status", "reason", "attempts", "parts", "due_at", "changed_at")
    return found.values_list(*fields, "gateway_id", _CHARGED, "sender")[:_BATCH]


def _amount(micros: int | None) -> Decimal | str:
    """An exact amount; empty without a price."""
    return "" if micros is None else from_micros(micros)
