"""The cost of messages: counted when a gateway has accepted or may have accepted them, in micros."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple, cast

from django.conf import settings
from django.db.models.functions import Coalesce

from campaigns.counters import count_costs
from campaigns.models import Message, MessageQuerySet
from directory import phones
from project.core.sql import execute, table, table_rows

_TABLE: Final = Message._meta.db_table


class Charge(NamedTuple):
    """A message with a price that a gateway has accepted or may have accepted, and when that became known."""

    run_id: int
    at: datetime
    gateway: str | None
    phone: int
    parts: int
    cost: int


def charge(charges: Iterable[Charge], *, sign: int = 1) -> dict[int, Counter[str]]:
    """Count these costs by hour, gateway and country; return the changes of the runs' counters.

    With `sign` -1 they are taken back, because the messages were not accepted after all.
    """
    numbers: dict[Any, Counter[str]] = defaultdict(Counter)
    changes: dict[int, Counter[str]] = defaultdict(Counter)
    for run_id, at, gateway, phone, parts, cost in charges:
        key = (run_id, at, gateway or settings.GATEWAY, phones.country(phone))
        numbers[key].update(messages=sign, parts=sign * parts, cost=sign * cost)
        changes[run_id]["cost"] += sign * cost
    count_costs(numbers)
    return changes


def set_costs(costs: Mapping[int, int | None]) -> None:
    """Set the costs of messages (by id), without counting them."""
    if costs:
        execute(
            f"WITH {table(Message, 'priced', ('id', 'cost'))} "  # noqa: S608
            f"UPDATE {_TABLE} SET cost = priced.cost FROM priced WHERE {_TABLE}.id = priced.id",
            table_rows(costs.items()),
        )


def recharge(costs: Mapping[int, int]) -> dict[int, Counter[str]]:
    """Replace the costs of accepted messages (by id) by those that their gateway reports; see `charge`."""
    if not costs:
        return {}
    messages = Message.objects.filter(pk__in=costs)
    changes = charge(charges_of(messages), sign=-1)
    set_costs(costs)
    for run_id, change in charge(charges_of(messages)).items():
        changes[run_id].update(change)
    return changes


def charges_of(messages: MessageQuerySet) -> list[Charge]:
    """Return the charges of these messages, counted in the hours in which their sending ended."""
    ended = messages.filter(cost__isnull=False).annotate(end=Coalesce("ended_at", "changed_at"))
    rows = ended.order_by().values_list("run_id", "end", "gateway_id", "phone", "parts", "cost")
    return [Charge(*cast("Any", row)) for row in rows]
