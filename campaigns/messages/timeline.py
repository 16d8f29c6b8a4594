"""The timeline of a contact: everything that happened with it, newest first.

Each source is read by an index, in the order of time, from the position of the page on, and the newest of all are the
page. So a page costs the same wherever it is. Messages and changes of one contact are few enough to sort.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from heapq import merge
from itertools import islice
from typing import Any, Final, NamedTuple

from auditlog.models import LogEntry
from django.db.models import QuerySet
from django.db.models.functions import Coalesce

from accounts.models import User
from campaigns.messages.incoming import readable
from campaigns.models import IncomingMessage, Message
from directory.imports.models import Batch
from directory.models import Contact


class Kind(StrEnum):
    """What happened."""

    MESSAGE = "message"
    INCOMING = "incoming"
    OPTED_OUT = "opted_out"
    OPTED_IN = "opted_in"
    CHANGED = "changed"
    ADDED = "added"


class Position(NamedTuple):
    """The place of an item. Of two at the same time, that of the later source and with the higher id is the newer."""

    at: datetime
    source: int
    pk: int


class Item(NamedTuple):
    """Something that happened. `row` is the message, incoming message, entry of the audit log, or import's id."""

    position: Position
    kind: Kind
    row: Any = None


class _Source(NamedTuple):
    """Rows of one kind, and the name of their time."""

    number: int
    rows: QuerySet[Any]
    time: str
    kind_of: Callable[[Any], Kind]


_OPT_OUTS: Final = {"True": Kind.OPTED_OUT, "False": Kind.OPTED_IN}
_ADDED, _CHANGES, _MESSAGES, _INCOMING = range(4)


def timeline(contact: Contact, before: Position | None, number: int) -> list[Item]:
    """Return the newest items of a contact, or the newest before a position."""
    changes = _Source(_CHANGES, _changes_of(contact), "timestamp", _kind_of_change)
    messages = _Source(_MESSAGES, _messages_to(contact), "at", lambda _row: Kind.MESSAGE)
    sources = (
        _added(contact, before),
        _items(changes, before, number),
        _items(messages, before, number),
        _incoming(contact, before, number),
    )
    return list(islice(merge(*sources, key=lambda item: item.position, reverse=True), number))


def readable_items(items: Iterable[Item], user: User) -> set[Position]:
    """Return the positions of the messages whose text the user may read.

    Of messages to the contact: those that the user has sent; of messages from it: all if the user has written to it.
    Administrators read all.
    """
    rows = list(items)
    own = {
        item.position
        for item in rows
        if item.kind == Kind.MESSAGE and (user.is_staff or item.row.run.campaign.owner_id == user.pk)
    }
    incoming = {item.row.pk: item.position for item in rows if item.kind == Kind.INCOMING}
    shown = readable([item.row for item in rows if item.kind == Kind.INCOMING], user) if incoming else set()
    return own | {incoming[pk] for pk in shown}


def _messages_to(contact: Contact) -> QuerySet[Message]:
    """Messages by the time at which they ended or changed last."""
    found = Message.objects.filter(pk__in=Message.objects.to(contact).values("pk"))
    return found.annotate(at=Coalesce("ended_at", "changed_at")).select_related("run__campaign")


def _changes_of(contact: Contact) -> QuerySet[LogEntry]:
    entries: QuerySet[LogEntry] = LogEntry.objects.get_for_object(contact)
    return entries.filter(action=LogEntry.Action.UPDATE)


def _kind_of_change(entry: LogEntry) -> Kind:
    """An opt-out or opt-in if nothing else was changed, else a change."""
    changes = entry.changes or {}
    change = changes.get("opted_out") if changes.keys() == {"opted_out"} else None
    return _OPT_OUTS.get(str(change[1]), Kind.CHANGED) if change else Kind.CHANGED


def _incoming(contact: Contact, before: Position | None, number: int) -> list[Item]:
    """Messages from the contact, and from its phone before it was a contact; each has an index of its own."""
    found: dict[Position, Item] = {}
    for rows in (IncomingMessage.objects.filter(contact=contact), IncomingMessage.objects.filter(phone=contact.phone)):
        source = _Source(_INCOMING, rows, "received_at", lambda _row: Kind.INCOMING)
        found |= {item.position: item for item in _items(source, before, number)}
    return sorted(found.values(), key=lambda item: item.position, reverse=True)


def _added(contact: Contact, before: Position | None) -> list[Item]:
    """When the contact was added, with the import that did it."""
    position = Position(contact.created_at, _ADDED, contact.pk)
    if before is not None and position >= before:
        return []
    batches = Batch.objects.filter(moment=contact.created_at).values_list("import_job_id", "created")
    found = next((job for job, created in batches if contact.pk in created), None)
    return [Item(position, Kind.ADDED, found)]


def _items(source: _Source, before: Position | None, number: int) -> Iterator[Item]:
    """Yield the rows of a source, newest first, from a position on."""
    rows = source.rows if before is None else _rows_before(source, before)
    for row in rows.order_by(f"-{source.time}", "-pk")[:number]:
        yield Item(Position(getattr(row, source.time), source.number, row.pk), source.kind_of(row), row)


def _rows_before(source: _Source, before: Position) -> QuerySet[Any]:
    if source.number > before.source:
        return source.rows.filter(**{f"{source.time}__lt": before.at})
    rows = source.rows.filter(**{f"{source.time}__lte": before.at})
    return rows.exclude(**{source.time: before.at, "pk__gte": before.pk}) if source.number == before.source else rows
