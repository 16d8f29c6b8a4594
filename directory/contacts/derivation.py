"""Fills in what follows from a contact's phone where it is missing.

Every write derives it. It is missing in contacts from before the upgrade that added the columns, and in those that
processes of the former release add while that upgrade is under way.
"""

import time
from collections.abc import Sequence
from typing import Final

from directory import phones
from directory.fields import DERIVED
from directory.models import NOT_DERIVED, Contact
from project.core.sql import async_commit, execute, table, table_rows
from project.queue import broker

_BATCH: Final = 2000
_SESSION_SECONDS: Final = 10.0
_TABLE: Final = Contact._meta.db_table
_UPDATE: Final = ", ".join(f"{name} = given.{name}" for name in DERIVED)


def derive_missing() -> None:
    """Fill in batch by batch for a limited time; the next sweep continues. `updated_at` stays.

    It has no task of its own, because workers of the former release would not know it.
    """
    until, last = time.monotonic() + _SESSION_SECONDS, 0
    while (reached := _derive_batch(last)) is not None and time.monotonic() < until and not broker.stopping.value:
        last = reached


def _derive_batch(after: int) -> int | None:
    """Fill in the next contacts by id, and return the last id, or None if there are none.

    Contacts that another process has locked are left to a later task. So this one never waits for a lock while it
    holds others.
    """
    with async_commit():
        missing = Contact.objects.filter(NOT_DERIVED, pk__gt=after).order_by("pk")
        rows = list(missing.select_for_update(skip_locked=True, no_key=True).values_list("pk", "phone")[:_BATCH])
        if rows:
            _write([(pk, *map(phones.derived(phone).get, DERIVED)) for pk, phone in rows])
    return rows[-1][0] if rows else None


def _write(rows: Sequence[Sequence[int | str | None]]) -> None:
    statement = (
        f"WITH {table(Contact, 'given', ('id', *DERIVED))} "  # noqa: S608
        f"UPDATE {_TABLE} SET {_UPDATE} FROM given WHERE {_TABLE}.id = given.id"
    )
    execute(statement, table_rows(rows))
