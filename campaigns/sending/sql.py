"""SQL statements on messages that the ORM can't express; see `project.core.sql`.

At thousands of messages per second there is no time for a query or a model object per message.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from campaigns.models import Message
from project.core import sql

TABLE: Final = Message._meta.db_table
table: Final = partial(sql.table, Message)


def bare_rows(queryset: QuerySet[Any, Any]) -> list[tuple[Any, ...]]:
    """The rows of a `values_list` as the driver returns them: JSON is text, and SQLite's booleans are 0 or 1."""
    with connection.cursor() as cursor:
        cursor.execute(*queryset.query.sql_with_params())
        return list(cursor.fetchall())


def fenced(statement: str, parameters: Sequence[Any]) -> set[int]:
    """Run an UPDATE … RETURNING id, and return the ids."""
    return {row[0] for row in sql.returned(statement, parameters)}


def uuid(token: UUID) -> Any:
    """A lease token as the database stores it."""
    return Message._meta.get_field("lease_token").get_db_prep_value(token, connection)
