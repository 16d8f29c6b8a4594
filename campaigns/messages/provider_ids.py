"""The providers' own ids of messages: stored with the outcome, found by receipts and by people."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

import structlog
from django.db.models import Exists, OuterRef

from campaigns.models import MAX_PROVIDER_ID, ProviderId
from project.core.sql import fetch, stamp, table, table_rows

log = structlog.get_logger("vestnik.sending")

_TABLE: Final = ProviderId._meta.db_table
_COLUMNS: Final = ("gateway", "provider_id", "message_id")
_STORED: Final = (*_COLUMNS, "pull_at")


class KnownId(NamedTuple):
    """A stored id: its row, its message, and whether the message has several, one for each part."""

    pk: int
    message_id: int
    several: bool


def is_storable(provider_id: str) -> bool:
    """Whether the database can store this id."""
    return 0 < len(provider_id) <= MAX_PROVIDER_ID and provider_id.isprintable()


def provider_ids_add(gateway: str, ids: Mapping[int, Iterable[str]], pull_at: datetime | None = None) -> None:
    """Store the ids of accepted messages, by our ids, in the caller's transaction; `pull_at`: see `ProviderId`.

    An id that the gateway has given to another message before stays with that one.
    """
    given = {(gateway, provider_id, message) for message, each in ids.items() for provider_id in each}
    # Others who store the same ids wait for them in the same order.
    rows = sorted(row for row in given if is_storable(row[1]))
    moment = pull_at and stamp(pull_at)
    stored = set(_insert([(*row, moment) for row in rows])) if rows else set()
    refused = {message for _, provider_id, message in given if (provider_id, message) not in stored}
    if refused:
        log.warning("provider ids not stored", gateway=gateway, messages=sorted(refused)[:10], number=len(refused))


def _insert(rows: Collection[tuple[Any, ...]]) -> list[tuple[str, int]]:
    columns = ", ".join(_STORED)
    statement = (
        f"WITH {table(ProviderId, 'given', _STORED)} INSERT INTO {_TABLE} ({columns}) "  # noqa: S608
        f"SELECT {columns} FROM given WHERE TRUE ON CONFLICT DO NOTHING RETURNING provider_id, message_id"
    )
    return [(provider_id, message) for provider_id, message in fetch(statement, table_rows(rows))]


def find_provider_ids(ids: Collection[str]) -> dict[tuple[str, str], KnownId]:
    """Return those of these ids that are stored, by gateway and id; one query."""
    if not ids:
        return {}
    others = ProviderId.objects.filter(message=OuterRef("message")).exclude(pk=OuterRef("pk"))
    rows = ProviderId.objects.filter(provider_id__in=ids).annotate(several=Exists(others))
    return {
        (gateway, provider_id): KnownId(pk, message_id, several)
        for gateway, provider_id, pk, message_id, several in rows.values_list(
            *_COLUMNS[:2], "pk", "message_id", "several"
        )
    }


def mark_parts(delivered: Collection[int], undelivered: Collection[int]) -> None:
    """Mark ids of messages that have several, by row. A part that has any receipt of failure is undelivered."""
    if delivered:
        ProviderId.objects.filter(pk__in=delivered, delivered=None).update(delivered=True)
    if undelivered:
        ProviderId.objects.filter(pk__in=undelivered).update(delivered=False)


def incomplete(messages: Collection[int]) -> set[int]:
    """Return those of these messages that have a part which is not delivered."""
    if not messages:
        return set()
    parts = ProviderId.objects.filter(message__in=messages).exclude(delivered=True)
    return set(parts.values_list("message_id", flat=True))


def messages_with(provider_id: str) -> list[int]:
    """Return the ids of the messages that a gateway knows by this id: at most one for each gateway."""
    if not is_storable(provider_id):
        return []
    return list(ProviderId.objects.filter(provider_id=provider_id).values_list("message_id", flat=True))
