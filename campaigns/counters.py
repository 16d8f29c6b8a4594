"""The counters of runs: changed in the very transaction that changes the messages they count."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from django.db import connection
from django.db.models import F

from campaigns.models import Run, RunMinute, RunReason
from campaigns.states import MessageStatus

_OF_A_MINUTE: Final = ("sent", "failed", "retried", "delivered", "undelivered")


def count(run_id: int, changes: Mapping[str, int], *, reached: int | None = None) -> None:
    """Add `changes` (counter name → difference) to a run's counters; `reached` as in `Run`, if it has moved."""
    fields: dict[str, Any] = {name: F(name) + difference for name, difference in changes.items() if difference}
    if reached is not None:
        fields["reached"] = reached
    if fields:
        Run.objects.filter(pk=run_id).update(**fields)


def moved(source: MessageStatus, target: MessageStatus, number: int) -> dict[str, int]:
    """The changes when `number` messages go from one status to another."""
    return {source.value: -number, target.value: number}


def count_minute(run_id: int, moment: datetime, **numbers: int) -> None:
    """Add to what the run did in the minute of `moment`: `sent`, `failed`, `retried`, `delivered`, `undelivered`."""
    table, minute = RunMinute._meta.db_table, moment.replace(second=0, microsecond=0)
    values = {name: numbers.get(name, 0) for name in _OF_A_MINUTE}
    more = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in values)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (run_id, minute, {', '.join(values)}) VALUES (%s, %s, %s, %s, %s, %s, %s) "  # noqa: S608
            f"ON CONFLICT (run_id, minute) DO UPDATE SET {more}",
            [run_id, connection.ops.adapt_datetimefield_value(minute), *values.values()],
        )


def count_reasons(numbers: Mapping[tuple[int, str], int]) -> None:
    """Add attempts that failed, by run and reason."""
    RunReason.objects.bulk_create(
        [RunReason(run_id=run_id, reason=reason, number=0) for run_id, reason in sorted(numbers)], ignore_conflicts=True
    )
    for (run_id, reason), number in sorted(numbers.items()):
        RunReason.objects.filter(run=run_id, reason=reason).update(number=F("number") + number)
