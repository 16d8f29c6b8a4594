"""Tallies added up over runs: changed by what comes and what goes, in the transaction in which tallies change."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, Final

from project import sql
from reports.draft import ENDED
from reports.models import EVERYONE, Facet, Tally, Total

NAMES: Final = (*ENDED, "parts", "attempts", "tries")
_KEY: Final = ("owner", "facet", "hour", "value")


def add(owner: int, *, gone: Iterable[Tally], come: Iterable[Tally]) -> None:
    """Change the totals of that owner and of everyone by what some tallies say now and others said before."""
    changes: defaultdict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    for rows, sign in ((come, 1), (gone, -1)):
        for row in rows:
            # A whole is told by the hour, all else by the day.
            hour = row.hour if row.facet == Facet.WHOLE else row.hour.replace(hour=0)
            change = changes[str(row.facet), str(sql.stamp(hour)), row.value]
            change.update({name: sign * getattr(row, name) for name in NAMES})
    changed = {key: numbers for key, numbers in changes.items() if any(numbers.values())}
    whose = {EVERYONE, owner}
    _write([(who, *key, *map(numbers.get, NAMES)) for who in whose for key, numbers in changed.items()])


def _write(rows: list[tuple[Any, ...]]) -> None:
    """One statement; rows in order, so that two who add at once can't wait for each other."""
    if not rows:
        return
    table, columns = Total._meta.db_table, ", ".join((*_KEY, *NAMES))
    more = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in NAMES)
    sql.execute(
        f"WITH {sql.table(Total, 'fresh', [*_KEY, *NAMES])} "  # noqa: S608
        f"INSERT INTO {table} ({columns}) SELECT {columns} FROM fresh WHERE true ORDER BY {', '.join(_KEY)} "
        f"ON CONFLICT ({', '.join(_KEY)}) DO UPDATE SET {more}",
        sql.table_rows(rows),
    )
