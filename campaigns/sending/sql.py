"""SQL statements on messages that the ORM can't express; see `project.core.sql`.

At thousands of messages per second there is no time for a query or a model object per message.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.db import connection
from django.db.models import Model
from django.db.models.expressions import RawSQL

from campaigns.models import Message, MessageQuerySet
from project.core import sql

TABLE: Final = Message._meta.db_table
table: Final = partial(sql.table, Message)


def first_of_runs(
    messages: MessageQuerySet, columns: Sequence[str], numbers: Mapping[int, int]
) -> list[tuple[Any, ...]]:
    """Return the first of the ordered `messages` of each run, `numbers[run id]` at most, locked for this transaction.

    Messages that others have locked are skipped. One statement for any number of runs (SQLite allows 500).
    """
    if not numbers:
        return []
    rows = messages.values_list(*columns)
    if connection.features.has_select_for_update:
        select, parameters = rows.filter(run=RawSQL("quota.run_id", [])).query.sql_with_params()
        due = f"{select} LIMIT quota.number FOR UPDATE OF {TABLE} SKIP LOCKED"
        quota = "unnest(CAST(%s AS bigint[]), CAST(%s AS bigint[])) AS quota (run_id, number)"
        statement = f"SELECT due.* FROM {quota} CROSS JOIN LATERAL ({due}) AS due"  # noqa: S608
        parameters = (sql.id_list(numbers), sql.id_list(numbers.values()), *parameters)
    else:
        selects = [rows.filter(run=run_id)[:number].query.sql_with_params() for run_id, number in numbers.items()]
        statement = " UNION ALL ".join(f"SELECT * FROM ({select})" for select, _ in selects)  # noqa: S608
        parameters = tuple(value for _, values in selects for value in values)
    return sql.fetch(statement, parameters)


def once(model: type[Model], ids: Collection[int], query: str, parameters: Sequence[Any]) -> tuple[str, list[Any]]:
    """Make PostgreSQL read these rows of `model` once, and plan the rest of a query for them alone.

    Planning a UNION ALL of many SELECTs from a table with many indexes takes longer than running it.
    """
    if connection.vendor != "postgresql":
        return query, list(parameters)
    name = model._meta.db_table
    rows = f"SELECT * FROM {name} WHERE {sql.among('id')}"  # noqa: S608
    return f"WITH {name} AS MATERIALIZED ({rows}) {query}", [sql.id_list(ids), *parameters]


def fenced(statement: str, parameters: Sequence[Any]) -> set[int]:
    """Run an UPDATE … RETURNING id, and return the ids."""
    return {row[0] for row in sql.fetch(statement, parameters)}


def uuid(token: UUID) -> Any:
    """A lease token as the database stores it."""
    return Message._meta.get_field("lease_token").get_db_prep_value(token, connection)
