"""The counters of runs: changed in the very transaction that changes the messages they count."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from django.db.models import F, Model

from campaigns.models import GatewayHour, Run, RunMinute, RunReason
from campaigns.states import MessageStatus
from project.sql import execute, stamp

_OF_A_TIME: Final = ("sent", "failed", "retried", "delivered", "undelivered")


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
    _add(RunMinute, {"run_id": run_id, "minute": stamp(moment.replace(second=0, microsecond=0))}, numbers)


def count_hour(gateway: str, moment: datetime, **numbers: int) -> None:
    """Add the same to what the gateway did in the hour of `moment`."""
    hour = moment.replace(minute=0, second=0, microsecond=0)
    _add(GatewayHour, {"gateway": gateway, "hour": stamp(hour)}, numbers)


def _add(model: type[Model], key: Mapping[str, Any], numbers: Mapping[str, int]) -> None:
    table = model._meta.db_table
    values = {name: numbers.get(name, 0) for name in _OF_A_TIME}
    more = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in values)
    execute(
        f"INSERT INTO {table} ({', '.join((*key, *values))}) VALUES (%s, %s, %s, %s, %s, %s, %s) "  # noqa: S608
        f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {more}",
        [*key.values(), *values.values()],
    )


def count_reasons(numbers: Mapping[tuple[int, str], int]) -> None:
    """Add attempts that failed, by run and reason."""
    RunReason.objects.bulk_create(
        [RunReason(run_id=run_id, reason=reason, number=0) for run_id, reason in sorted(numbers)], ignore_conflicts=True
    )
    for (run_id, reason), number in sorted(numbers.items()):
        RunReason.objects.filter(run=run_id, reason=reason).update(number=F("number") + number)
