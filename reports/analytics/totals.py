"""Totals of tallies over runs, updated in the transaction that changes the tallies."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, Final

from campaigns.states import ENDED
from project.core import sql
from reports.models import EVERYONE, Facet, Tally, Total

NAMES: Final = (*ENDED, "parts", "attempts", "tries")
_KEY: Final = ("owner", "facet", "hour", "value")


def add(owner: int, *, removed: Iterable[Tally], added: Iterable[Tally]) -> None:
    """Update the totals of an owner and of everyone when tallies are replaced."""
    changes: defaultdict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    for rows, sign in ((added, 1), (removed, -1)):
        for row in rows:
            # The whole is kept by hour, facets by day.
            hour = row.hour if row.facet == Facet.WHOLE else row.hour.replace(hour=0)
            change = changes[str(row.facet), str(sql.stamp(hour)), row.value]
            change.update({name: sign * getattr(row, name) for name in NAMES})
    changed = {key: numbers for key, numbers in changes.items() if any(numbers.values())}
    owners = {EVERYONE, owner}
    _write([(owner_id, *key, *map(numbers.get, NAMES)) for owner_id in owners for key, numbers in changed.items()])


def _write(rows: list[tuple[Any, ...]]) -> None:
    """Write in one statement, with ordered rows, so that concurrent transactions can't deadlock."""
    if not rows:
        return
    table, columns = Total._meta.db_table, ", ".join((*_KEY, *NAMES))
    increments = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in NAMES)
    sql.execute(
        f"WITH {sql.table(Total, 'changes', [*_KEY, *NAMES])} "  # noqa: S608
        f"INSERT INTO {table} ({columns}) SELECT {columns} FROM changes WHERE true ORDER BY {', '.join(_KEY)} "
        f"ON CONFLICT ({', '.join(_KEY)}) DO UPDATE SET {increments}",
        sql.table_rows(rows),
    )
