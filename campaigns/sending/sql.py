"""The few statements that the ORM can't write, in the words that PostgreSQL and SQLite share.

An UPDATE of many rows, each with values of its own, and RETURNING: thousands of messages a second leave no room for a
query per message.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import connection

from campaigns.models import Message

TABLE: Final = Message._meta.db_table


def fenced(statement: str, parameters: Sequence[Any]) -> set[int]:
    """Run an UPDATE … RETURNING id, and return the ids."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return {row[0] for row in cursor.fetchall()}


def among(column: str) -> str:
    """The condition that `column` is one of an `id_list`: a single parameter, however many ids."""
    if connection.vendor == "postgresql":
        return f"{column} = ANY(%s)"
    return f"{column} IN (SELECT value FROM json_each(%s))"  # noqa: S608


def id_list(ids: list[int]) -> Any:
    """The parameter of `among`."""
    return ids if connection.vendor == "postgresql" else json.dumps(ids)


def stamp(moment: datetime) -> Any:
    """A time as the database stores it."""
    return connection.ops.adapt_datetimefield_value(moment)


def uuid(token: UUID) -> Any:
    """A lease token as the database stores it."""
    return Message._meta.get_field("lease_token").get_db_prep_value(token, connection)
