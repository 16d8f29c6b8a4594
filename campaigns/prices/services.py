"""Changes of prices. Costs that are already recorded never change."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from typing import Any, Final, NamedTuple

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Case, CharField, Exists, OuterRef, QuerySet, Value, When
from django.utils.translation import gettext as _

from accounts.audit_log import record, set_change
from accounts.models import User
from campaigns.gateways.policies import check_may_manage_gateways
from campaigns.models import Gateway, Price
from campaigns.prices.entries import Entry, exact
from project.core.clock import now
from project.core.numbers import number

MAX_PRICES: Final = 10_000
CURRENT, LATER, EARLIER = "current", "later", "earlier"
_MAX_RECORDED: Final = 100


class Saved(NamedTuple):
    """How many prices were added and replaced."""

    added: int
    replaced: int


def prices_of(gateway: str, day: date) -> QuerySet[Any]:
    """Return a gateway's prices with their `state` on a day: in force, or from a later or an earlier time."""
    newer = Price.objects.filter(
        gateway=gateway, area=OuterRef("area"), valid_from__gt=OuterRef("valid_from"), valid_from__lte=day
    )
    state = Case(
        When(valid_from__gt=day, then=Value(LATER)),
        When(Exists(newer), then=Value(EARLIER)),
        default=Value(CURRENT),
        output_field=CharField(),
    )
    return Price.objects.filter(gateway=gateway).annotate(state=state)


@transaction.atomic
def prices_save(*, gateway: str, entries: Iterable[Entry], by: User, replace_all: bool = False) -> Saved:
    """Save prices. One of the same area and day is replaced; with `replace_all` the others are deleted."""
    check_may_manage_gateways(by)
    _lock(gateway)
    wanted = {entry.key: entry._replace(price=exact(entry.price)) for entry in entries}
    known = {row.key: row for row in map(_entry_of, _rows(gateway))}
    if len(wanted if replace_all else wanted.keys() | known.keys()) > MAX_PRICES:
        refusal = _("A gateway has at most %(number)s prices. Delete earlier ones first.")
        raise ValidationError(refusal % {"number": number(MAX_PRICES)})
    new = [entry for key, entry in wanted.items() if known.get(key) != entry]
    replaced = [known[entry.key] for entry in new if entry.key in known]
    gone = [entry for key, entry in known.items() if key not in wanted] if replace_all else []
    _delete(gateway, gone)
    Price.objects.bulk_create(
        [Price(gateway=gateway, **entry._asdict()) for entry in new],
        update_conflicts=True,
        unique_fields=["gateway", "area", "valid_from"],
        update_fields=["price"],
        batch_size=1000,
    )
    _record(gateway, by, removed=[*replaced, *gone], added=new)
    return Saved(len(new) - len(replaced), len(replaced))


@transaction.atomic
def price_delete(*, row: Price, by: User) -> None:
    """Delete a price: from now on that of the day before, or of a wider area, is valid."""
    check_may_manage_gateways(by)
    _lock(row.gateway)
    entry = _entry_of(row)
    if _delete(row.gateway, [entry]):
        _record(row.gateway, by, removed=[entry], added=[])


def delete_prices_of(instance: Gateway, **_signal: Any) -> None:
    """Delete the prices of a gateway that is deleted."""
    _rows(instance.pk).delete()


def _rows(gateway: str) -> QuerySet[Price]:
    return Price.objects.filter(gateway=gateway)


def _entry_of(row: Price) -> Entry:
    return Entry(row.area, row.valid_from, row.price)


def _delete(gateway: str, entries: list[Entry]) -> int:
    """Delete prices, and return how many there were."""
    by_day: dict[date, list[str]] = defaultdict(list)
    for entry in entries:
        by_day[entry.valid_from].append(entry.area)
    return sum(_rows(gateway).filter(valid_from=day, area__in=areas).delete()[0] for day, areas in by_day.items())


def _lock(gateway: str) -> None:
    """Let one transaction at a time change a gateway's prices, and have senders read them again.

    The settings' gateway may not have a row yet.
    """
    Gateway.objects.get_or_create(name=gateway)
    Gateway.objects.filter(pk=gateway).update(prices_changed_at=now())


def _record(gateway: str, by: User, *, removed: list[Entry], added: list[Entry]) -> None:
    for operation, entries in (("delete", removed), ("add", added)):
        names = [str(entry) for entry in sorted(entries)]
        if names[_MAX_RECORDED:]:
            names = [*names[:_MAX_RECORDED], f"… +{len(names) - _MAX_RECORDED}"]
        if names:
            record(Gateway, [gateway], by, {"prices": set_change(operation, names)})
