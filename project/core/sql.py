"""Statements that the ORM can't express, in SQL that PostgreSQL and SQLite share.

Many rows are passed in few parameters: PostgreSQL takes an array per column, a third cheaper than JSON; SQLite takes
JSON.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from django.db import connection, transaction
from django.db.migrations import AddIndex, RemoveIndex
from django.db.models import BooleanField, Model
from django.db.models.expressions import RawSQL

_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def table(model: type[Model], name: str, columns: Sequence[str]) -> str:
    """Return a common table expression with a model's `columns`, filled from the parameters of `table_rows`."""
    if connection.vendor == "postgresql":
        types = [model._meta.get_field(column).db_type(connection) for column in columns]
        source = f"* FROM unnest({', '.join(f'CAST(%s AS {kind}[])' for kind in types)})"
    else:
        source = f"{', '.join(f'value ->> {number}' for number in range(len(columns)))} FROM json_each(%s)"
    return f"{name} ({', '.join(columns)}) AS (SELECT {source})"


def table_rows(rows: Iterable[Sequence[Any]]) -> list[str]:
    """Return the parameters of `table`, for at least one row."""
    if connection.vendor == "postgresql":
        return ["{" + ",".join(map(_element, column)) + "}" for column in zip(*rows, strict=True)]
    return [_encode(list(rows))]


def _element(value: Any) -> str:
    """Format a value in an array literal, see PostgreSQL's manual, 8.15.6."""
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, dict | list):
        return _element(_encode(value))
    return "NULL" if value is None else str(value)


def among(column: str) -> str:
    """Return the condition that `column` is in an `id_list`, with one parameter for any number of ids."""
    if connection.vendor == "postgresql":
        return f"{column} = ANY(CAST(%s AS bigint[]))"
    return f"{column} IN (SELECT value FROM json_each(%s))"  # noqa: S608


def id_list(ids: Iterable[int | None]) -> str:
    """Return the parameter of `among`."""
    joined = ",".join(map(str, ids))
    return f"{{{joined}}}" if connection.vendor == "postgresql" else f"[{joined}]"


def is_among(column: str, ids: Iterable[int | None]) -> RawSQL:
    """Return the same condition as a filter for queries of one table."""
    return RawSQL(among(column), [id_list(ids)], output_field=BooleanField())  # noqa: S611


def fetch(statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Run a query and return its rows as the driver does: JSON is text, and SQLite's booleans are 0 or 1."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


def execute(statement: str, parameters: Sequence[Any]) -> None:
    """Run a statement that returns no rows."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def prefer_index_scans() -> None:
    """Make PostgreSQL find rows by index and in one process until the end of the transaction.

    For thousands of rows it would rather scan up to half a million, by table or by index, again for each batch.
    Parallel workers of background counts would slow down sending.
    """
    if connection.vendor == "postgresql":
        off = ("enable_seqscan", "enable_mergejoin", "enable_hashjoin", "max_parallel_workers_per_gather")
        execute("; ".join(f"SET LOCAL {setting} = 0" for setting in off), [])


@contextmanager
def async_commit() -> Iterator[None]:
    """Run a transaction that does not wait for the disk. Others see it at once; a power cut may undo it entirely.

    A later ordinary commit also makes it durable. Not for use within another transaction, which would not wait either.
    """
    with transaction.atomic():
        if connection.vendor == "postgresql":
            execute("SET LOCAL synchronous_commit = off", [])
        yield


def stamp(moment: datetime) -> Any:
    """Return a time as the database stores it."""
    return connection.ops.adapt_datetimefield_value(moment)


class IndexAlongside(AddIndex):
    """`AddIndex` for large tables: PostgreSQL builds it while rows are written. The migration must not be `atomic`.

    Removes the remains of an interrupted build first.
    """

    atomic = False

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """See `Operation`."""
        options = {"concurrently": True} if schema_editor.connection.vendor == "postgresql" else {}
        _drop_index(schema_editor, self.index.name)
        schema_editor.add_index(to_state.apps.get_model(app_label, self.model_name), self.index, **options)


class RemoveIndexAlongside(RemoveIndex):
    """`RemoveIndex` for large tables: PostgreSQL drops it while rows are written. The migration must not be `atomic`.

    Does nothing if an interrupted migration has removed it.
    """

    atomic = False

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """See `Operation`."""
        _drop_index(schema_editor, self.name)


def _drop_index(schema_editor: Any, name: str) -> None:
    concurrently = "CONCURRENTLY " if schema_editor.connection.vendor == "postgresql" else ""
    schema_editor.execute(f"DROP INDEX {concurrently}IF EXISTS {schema_editor.quote_name(name)}")
