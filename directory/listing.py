"""Long lists of contacts: pages of each filter in any order, and how many there are."""

import json
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection
from django.db.models import prefetch_related_objects
from django.db.models.functions import Coalesce

from directory.models import Contact, ContactQuerySet
from project.lists import Order, Ordered, after, cut, read_cursor

NEWEST, NAME, PHONE, CHANGED = "newest", "name", "phone", "changed"
# Each order is that of an index, and no two contacts stand at the same place of it.
ORDERS: Final[dict[str, Order]] = {
    NEWEST: ("-id",),
    NAME: ("search",),
    PHONE: ("phone",),
    CHANGED: ("-updated_at", "-id"),
}
_BY_DATE: Final = ("-created_at", "-id")
_COUNTED: Final = 10_000
_LOOKED_AT: Final = 200
_NAMES: Final = 100
# So many are sorted faster than they may be found by walking along the order of all contacts.
_SORTED: Final = 30_000
# Contacts that were added in the same days lie side by side, and are read faster.
_SORTED_OF_DAYS: Final = 150_000


@dataclass(frozen=True)
class Number:
    """How many contacts a list has; not `exact` is an estimate of the database's, in two digits."""

    value: int
    exact: bool = True


def number_of(found: ContactQuerySet) -> Number:
    """Count up to 10 000; where PostgreSQL estimates more, its word is taken, however many there are."""
    plain = found.order_by()
    if connection.vendor != "postgresql":
        return Number(plain.count())
    estimate = int(json.loads(plain.values("pk").explain(format="json"))[0]["Plan"]["Plan Rows"])
    if estimate <= _COUNTED:
        counted = plain[: _COUNTED + 1].count()
        if counted <= _COUNTED:
            return Number(counted)
        estimate = counted
    return Number(round(estimate, 2 - len(str(estimate))), exact=False)


def contacts_page(
    filters: dict[str, Any], number: Number, *, sort: str = NEWEST, cursor: str | None = None, limit: int
) -> Ordered[Contact]:
    """The page after `cursor` of what `ContactQuerySet.narrow` finds by the filters, `number` of them.

    A cursor that can't be read means the first page. The newest of those narrowed by the day are found by that day.
    """
    order = ORDERS.get(sort, ORDERS[NEWEST])
    dated = filters.get("added_from") or filters.get("added_before")
    if dated and order == ORDERS[NEWEST]:
        order = _BY_DATE
    below = read_cursor(cursor, Contact.objects.all(), ["id"]) if order == ORDERS[NEWEST] else []
    found = Contact.objects.narrow(**filters, below=below[0] if below else None)
    found = found if below else after(found, order, cursor)
    if order != ORDERS[NEWEST]:  # the ids first: an index may tell them, and the filters, without a look at the rows
        few = number.value <= (_SORTED_OF_DAYS if dated else _SORTED)
        first = (_sorted(found, order) if few else found.order_by(*order)).values("pk")[: limit + 1]
        found = Contact.objects.filter(pk__in=first)
    page = cut(list(found.order_by(*order)[: limit + 1]), order, limit)
    prefetch_related_objects(page.items, "tags")
    return page


def _sorted(found: ContactQuerySet, order: Order) -> ContactQuerySet:
    """Few rows, in that order by an expression that no index knows, so that the filters are what is looked up.

    Else the database might walk along the order in the hope of meeting some soon, and meet them at its end.
    """
    name = order[0].removeprefix("-")
    same = Coalesce(name, name)
    return found.order_by(same.desc() if order[0].startswith("-") else same.asc(), *order[1:])


def exact_number_of(found: ContactQuerySet) -> int:
    """Every single one, where somebody is about to act on it."""
    return found.order_by().count()


def known_attributes() -> list[str]:
    """Names of attributes, as far as the newest contacts have them."""
    newest = Contact.objects.order_by("-pk").values_list("attributes", flat=True)[:_LOOKED_AT]
    return sorted({name for attributes in newest for name in attributes})[:_NAMES]


def present(field: str) -> list[str]:
    """The values that contacts have in an indexed field of text: read one by one from the index, not row by row."""
    table, column = (connection.ops.quote_name(name) for name in (Contact._meta.db_table, field))
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH RECURSIVE present(value) AS (SELECT min({column}) FROM {table} UNION ALL "  # noqa: S608
            f"SELECT (SELECT min({column}) FROM {table} WHERE {column} > present.value) FROM present "
            "WHERE present.value IS NOT NULL) SELECT value FROM present WHERE value IS NOT NULL LIMIT 1000"
        )
        return [value for (value,) in cursor.fetchall()]
