"""The few statements that the ORM can't write, in the words that PostgreSQL and SQLite share.

An UPDATE of many rows, each with values of its own, and RETURNING: thousands of messages a second leave no room for a
query per message, nor for making objects of what is read.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import connection
from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import RawSQL

from campaigns.models import Message

TABLE: Final = Message._meta.db_table


def bare_rows(queryset: QuerySet[Any, Any]) -> list[tuple[Any, ...]]:
    """The rows of a `values_list` as the driver gives them: JSON is text, and SQLite's truth is 0 or 1."""
    with connection.cursor() as cursor:
        cursor.execute(*queryset.query.sql_with_params())
        return list(cursor.fetchall())


def fenced(statement: str, parameters: Sequence[Any]) -> set[int]:
    """Run an UPDATE … RETURNING id, and return the ids."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return {row[0] for row in cursor.fetchall()}


def table(name: str, columns: Sequence[str]) -> str:
    """A common table expression of `columns` of messages, filled from one parameter, see `table_rows`."""
    if connection.vendor == "postgresql":
        types = [Message._meta.get_field(column).db_type(connection) for column in columns]
        values = ", ".join(f"CAST(value ->> {number} AS {kind})" for number, kind in enumerate(types))
        source = "json_array_elements(%s)"
    else:
        values = ", ".join(f"value ->> {number}" for number in range(len(columns)))
        source = "json_each(%s)"
    return f"{name} ({', '.join(columns)}) AS (SELECT {values} FROM {source})"  # noqa: S608


def table_rows(rows: Iterable[Sequence[Any]]) -> str:
    """The parameter of `table`."""
    return json.dumps(list(rows), ensure_ascii=False)


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


def stamp(moment: datetime) -> Any:
    """A time as the database stores it."""
    return connection.ops.adapt_datetimefield_value(moment)


def uuid(token: UUID) -> Any:
    """A lease token as the database stores it."""
    return Message._meta.get_field("lease_token").get_db_prep_value(token, connection)
