"""The counters of runs, changed in the same transaction as the messages that they count."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from django.db.models import Count, F, Model
from django.db.models.functions import Coalesce, Greatest, TruncMinute

from campaigns.models import GatewayHour, MessageQuerySet, Run, RunMinute, RunReason
from campaigns.states import MessageStatus, check_message_transition
from project.core.sql import execute, stamp

# When the sending of a message ended.
_END: Final = Coalesce("ended_at", "changed_at")
_PERIOD_COUNTERS: Final = ("sent", "failed", "retried", "delivered", "undelivered")


def count(run_id: int, changes: Mapping[str, int], *, reached: int | None = None) -> None:
    """Add `changes` (counter name → difference) to a run's counters; set `reached` (see `Run`) if given."""
    fields: dict[str, Any] = {name: F(name) + difference for name, difference in changes.items() if difference}
    if reached is not None:
        fields["reached"] = reached
    if fields:
        Run.objects.filter(pk=run_id).update(**fields)


def moved(source: str, target: str, number: int) -> dict[str, int]:
    """The changes of counters when `number` messages change status. IllegalTransition unless the table allows it.

    Messages are counted in the transaction that changes them, so an illegal transition is never committed.
    """
    check_message_transition(source, target)
    return {MessageStatus(source).value: -number, MessageStatus(target).value: number}


def count_minute(run_id: int, moment: datetime, **numbers: int) -> None:
    """Add numbers of `sent`, `failed`, `retried`, `delivered`, `undelivered` to the run's minute of `moment`."""
    _add(RunMinute, {"run_id": run_id, "minute": stamp(moment.replace(second=0, microsecond=0))}, numbers)


def count_ended(messages: MessageQuerySet, name: str) -> None:
    """Count messages as `sent` or `failed` in the minutes in which their sending ended.

    For messages whose outcome becomes known later, by a receipt or because a user resolves an unknown message.
    """
    for run_id, minute, number in _by_minute(messages, _END):
        count_minute(run_id, minute, **{name: number})


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
    hour = moment.replace(minute=0, second=0, microsecond=0)
    _add(GatewayHour, {"gateway": gateway, "hour": stamp(hour)}, numbers)


def _add(model: type[Model], key: Mapping[str, Any], numbers: Mapping[str, int]) -> None:
    table = model._meta.db_table
    values = {name: numbers.get(name, 0) for name in _PERIOD_COUNTERS}
    increments = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in values)
    execute(
        f"INSERT INTO {table} ({', '.join((*key, *values))}) VALUES (%s, %s, %s, %s, %s, %s, %s) "  # noqa: S608
        f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {increments}",
        [*key.values(), *values.values()],
    )


def count_reasons(numbers: Mapping[tuple[int, str], int]) -> None:
    """Add numbers of failed attempts, by run and reason."""
    RunReason.objects.bulk_create(
        [RunReason(run_id=run_id, reason=reason, number=0) for run_id, reason in sorted(numbers)], ignore_conflicts=True
    )
    for (run_id, reason), number in sorted(numbers.items()):
        RunReason.objects.filter(run=run_id, reason=reason).update(number=F("number") + number)
