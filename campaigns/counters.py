"""The counters of runs, changed in the same transaction as the messages that they count."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from django.db import connection
from django.db.models import Count, F, Model
from django.db.models.functions import Coalesce, Greatest, TruncMinute

from campaigns.models import GatewayHour, MessageQuerySet, Run, RunCost, RunMinute, RunReason
from campaigns.states import MessageStatus, check_message_transition
from project.core.sql import execute, stamp, table, table_rows

# When the sending of a message ended.
_END: Final = Coalesce("ended_at", "changed_at")
_RUN: Final = Run._meta.db_table
_PERIOD_COUNTERS: Final = ("sent", "failed", "retried", "delivered", "undelivered")


def count(changes: Mapping[int, Mapping[str, int]], *, reached: Mapping[int, int] | None = None) -> None:
    """Add `changes` (run id → counter → difference) to the counters of runs; set `reached` (see `Run`) where given.

    One statement for any number of runs, which locks them in the order of ids, so that two never deadlock. Call it
    late in a transaction: everyone who sends counts in the same rows.
    """
    names = sorted({str(name) for change in changes.values() for name, difference in change.items() if difference})
    if not (names or reached):
        return
    rows = [
        (run_id, *(changes[run_id].get(name, 0) for name in names), (reached or {}).get(run_id)) for run_id in changes
    ]
    lock = " FOR NO KEY UPDATE" if connection.features.has_select_for_update else ""
    increments = "".join(f"{name} = {_RUN}.{name} + change.{name}, " for name in names)
    execute(
        f"WITH {table(Run, 'change', ('id', *names, 'reached'))}, "  # noqa: S608
        f"locked AS (SELECT id FROM {_RUN} WHERE id IN (SELECT id FROM change) ORDER BY id{lock}) "
        f"UPDATE {_RUN} SET {increments}reached = COALESCE(change.reached, {_RUN}.reached) "
        f"FROM change, locked WHERE {_RUN}.id = change.id AND locked.id = change.id",
        table_rows(rows),
    )


def moved(source: str, target: str, number: int) -> dict[str, int]:
    """The changes of counters when `number` messages change status. IllegalTransition unless the table allows it.

    Messages are counted in the transaction that changes them, so an illegal transition is never committed.
    """
    check_message_transition(source, target)
    return {MessageStatus(source).value: -number, MessageStatus(target).value: number}


def count_minutes(numbers: Mapping[tuple[int, datetime], Mapping[str, int]]) -> None:
    """Add numbers of `sent`, `failed`, `retried`, `delivered`, `undelivered` to runs, by run id and moment."""
    rows = {(run_id, stamp(at.replace(second=0, microsecond=0))): row for (run_id, at), row in numbers.items()}
    _add(RunMinute, ("run_id", "minute"), rows, _PERIOD_COUNTERS)


def count_ended(messages: MessageQuerySet, name: str) -> None:
    """Count messages as `sent` or `failed` in the minutes in which their sending ended.

    For messages whose outcome becomes known later, by a receipt or because a user resolves an unknown message.
    """
    count_minutes({(run_id, minute): {name: number} for run_id, minute, number in _by_minute(messages, _END)})


def count_retried(failed: MessageQuerySet) -> None:
    """Count failed messages that become pending again as `retried` in the minutes of their failures."""
    for run_id, minute, number in _by_minute(failed, _END):
        RunMinute.objects.filter(run=run_id, minute=minute).update(
            failed=Greatest(F("failed") - number, 0), retried=F("retried") + number
        )


def count_not_delivered(delivered: MessageQuerySet) -> None:
    """Take delivered messages that become undelivered out of the minutes in which they were counted."""
    for run_id, minute, number in _by_minute(delivered, F("changed_at")):
        RunMinute.objects.filter(run=run_id, minute=minute).update(delivered=Greatest(F("delivered") - number, 0))


def _by_minute(messages: MessageQuerySet, at: Coalesce | F) -> list[tuple[int, datetime, int]]:
    """Run, minute (UTC) of `at`, and number of messages, in the order in which everyone locks these rows."""
    minute = TruncMinute(at, tzinfo=UTC)
    rows = messages.annotate(minute=minute).order_by().values("run", "minute").annotate(number=Count("pk"))
    return list(rows.order_by("run", "minute").values_list("run", "minute", "number"))


def count_hour(gateway: str, moment: datetime, **numbers: int) -> None:
    """Add the same numbers to the gateway's hour of `moment`."""
    hour = stamp(moment.replace(minute=0, second=0, microsecond=0))
    _add(GatewayHour, ("gateway", "hour"), {(gateway, hour): numbers}, _PERIOD_COUNTERS)


def count_costs(numbers: Mapping[tuple[int, datetime, str, str], Mapping[str, int]]) -> None:
    """Add numbers of `messages` and `parts`, and `cost` in micros, to runs by run id, moment, gateway and country."""
    rows: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for (run_id, at, gateway, country), row in numbers.items():
        rows[run_id, stamp(at.replace(minute=0, second=0, microsecond=0)), gateway, country].update(row)
    _add(RunCost, ("run_id", "hour", "gateway", "country"), rows, ("messages", "parts", "cost"))


def count_reasons(numbers: Mapping[tuple[int, str], int]) -> None:
    """Add numbers of failed attempts, by run and reason."""
    _add(RunReason, ("run_id", "reason"), {key: {"number": number} for key, number in numbers.items()}, ("number",))


def _add(
    model: type[Model],
    key_columns: Sequence[str],
    numbers: Mapping[tuple[Any, ...], Mapping[str, int]],
    counters: Sequence[str],
) -> None:
    """Add `numbers` (key → counter → number) in one statement that locks its rows in the order of their keys."""
    if not numbers:
        return
    name, columns = model._meta.db_table, (*key_columns, *counters)
    rows = [(*key, *(numbers[key].get(counter, 0) for counter in counters)) for key in sorted(numbers)]
    placeholders = f"({', '.join(['%s'] * len(columns))})"
    increments = ", ".join(f"{counter} = {name}.{counter} + excluded.{counter}" for counter in counters)
    execute(
        f"INSERT INTO {name} ({', '.join(columns)}) VALUES {', '.join([placeholders] * len(rows))} "  # noqa: S608
        f"ON CONFLICT ({', '.join(key_columns)}) DO UPDATE SET {increments}",
        [value for row in rows for value in row],
    )
