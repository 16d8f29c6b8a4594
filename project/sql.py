"""The few statements that the ORM can't write, in the words that PostgreSQL and SQLite share.

Many rows at once, each with values of its own, travel as few parameters, however many they are: for PostgreSQL an
array for each column, at a third less than JSON costs it; for SQLite JSON.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from django.db import connection, transaction
from django.db.migrations import AddIndex
from django.db.models import BooleanField, Model
from django.db.models.expressions import RawSQL

_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def table(model: type[Model], name: str, columns: Sequence[str]) -> str:
    """A common table expression of a model's `columns`, filled from the parameters that `table_rows` makes."""
    if connection.vendor == "postgresql":
        types = [model._meta.get_field(column).db_type(connection) for column in columns]
        source = f"* FROM unnest({', '.join(f'CAST(%s AS {kind}[])' for kind in types)})"
    else:
        source = f"{', '.join(f'value ->> {number}' for number in range(len(columns)))} FROM json_each(%s)"
    return f"{name} ({', '.join(columns)}) AS (SELECT {source})"


def table_rows(rows: Iterable[Sequence[Any]]) -> list[str]:
    """The parameters of `table`, for one row at least."""
    if connection.vendor == "postgresql":
        return ["{" + ",".join(map(_element, column)) + "}" for column in zip(*rows, strict=True)]
    return [_encode(list(rows))]


def _element(value: Any) -> str:
    """A value in an array literal, see PostgreSQL's manual, 8.15.6."""
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, dict | list):
        return _element(_encode(value))
    return "NULL" if value is None else str(value)


def among(column: str) -> str:
    """The condition that `column` is one of an `id_list`: a single parameter, however many ids."""
    if connection.vendor == "postgresql":
        return f"{column} = ANY(CAST(%s AS bigint[]))"
    return f"{column} IN (SELECT value FROM json_each(%s))"  # noqa: S608


def id_list(ids: Iterable[int | None]) -> str:
    """The parameter of `among`."""
    listed = ",".join(map(str, ids))
    return f"{{{listed}}}" if connection.vendor == "postgresql" else f"[{listed}]"


def is_among(column: str, ids: Iterable[int | None]) -> RawSQL:
    """The same as a filter of a query of one table, whose `column` it is."""
    return RawSQL(among(column), [id_list(ids)], output_field=BooleanField())  # noqa: S611


def returned(statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Run an INSERT or UPDATE … RETURNING, and return what it returns."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


def execute(statement: str, parameters: Sequence[Any]) -> None:
    """Run a statement that returns nothing."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def look_up() -> None:
    """Have PostgreSQL find rows by index, each by itself and in one process, until the transaction is over.

    Asked for thousands of rows it would rather go through all, up to half a million of them, and so again for each
    batch: by reading the table, or an index from one end to the other. And what is counted in the background would have
    helpers, at the cost of those who send.
    """
    if connection.vendor == "postgresql":
        off = ("enable_seqscan", "enable_mergejoin", "enable_hashjoin", "max_parallel_workers_per_gather")
        execute("; ".join(f"SET LOCAL {setting} = 0" for setting in off), [])


@contextmanager
def unhurried() -> Iterator[None]:
    """A transaction that does not wait for the disk: others see it at once, and a power cut may undo it as a whole.

    Whatever is committed later with patience is on the disk after it. Not within another transaction, for that would
    not wait either.
    """
    with transaction.atomic():
        if connection.vendor == "postgresql":
            execute("SET LOCAL synchronous_commit = off", [])
        yield


def stamp(moment: datetime) -> Any:
    """A time as the database stores it."""
    return connection.ops.adapt_datetimefield_value(moment)


class IndexAlongside(AddIndex):
    """`AddIndex` for a table of millions: PostgreSQL builds it while rows are written. Its migration is not `atomic`.

    What a build that was broken off has left goes first.
    """

    atomic = False

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """See `Operation`."""
        without_lock = {"concurrently": True} if schema_editor.connection.vendor == "postgresql" else {}
        word = "CONCURRENTLY " if without_lock else ""
        schema_editor.execute(f"DROP INDEX {word}IF EXISTS {schema_editor.quote_name(self.index.name)}")
        schema_editor.add_index(to_state.apps.get_model(app_label, self.model_name), self.index, **without_lock)
