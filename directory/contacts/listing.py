"""Long lists of contacts: counts, and pages in any order."""

import json
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection
from django.db.models import prefetch_related_objects
from django.db.models.functions import Coalesce

from directory.models import Contact, ContactQuerySet
from project.http.lists import Order, OrderedPage, page_from_rows, read_cursor, rows_after

NEWEST, NAME, PHONE, CHANGED = "newest", "name", "phone", "changed"
# Each order follows an index and is unique.
ORDERS: Final[dict[str, Order]] = {
    NEWEST: ("-id",),
    NAME: ("search",),
    PHONE: ("phone",),
    CHANGED: ("-updated_at", "-id"),
}
_BY_DATE: Final = ("-created_at", "-id")
_MAX_COUNTED: Final = 10_000
_NEWEST_EXAMINED: Final = 200
_MAX_NAMES: Final = 100
# So many rows are sorted faster than found by walking along the order of all contacts.
_MAX_SORTED: Final = 30_000
# Contacts added on the same days are stored side by side, and are read faster.
_MAX_SORTED_BY_DATE: Final = 150_000


@dataclass(frozen=True)
class ContactCount:
    """The length of a list. If not `exact`, it is the database's estimate, rounded to two digits."""

    value: int
    exact: bool = True


def count_or_estimate(contacts: ContactQuerySet) -> ContactCount:
    """Count up to 10 000 contacts. Above that, use PostgreSQL's estimate; other databases count exactly."""
    plain = contacts.order_by()
    if connection.vendor != "postgresql":
        return ContactCount(plain.count())
    plan = plain.values("pk").explain(format="json")
    if not plan:  # Django runs no query where nothing can match
        return ContactCount(0)
    estimate = int(json.loads(plan)[0]["Plan"]["Plan Rows"])
    if estimate <= _MAX_COUNTED:
        counted = plain[: _MAX_COUNTED + 1].count()
        if counted <= _MAX_COUNTED:
            return ContactCount(counted)
        estimate = counted
    return ContactCount(round(estimate, 2 - len(str(estimate))), exact=False)


def contacts_page(
    filters: dict[str, Any], number: ContactCount, *, sort: str = NEWEST, cursor: str | None = None, limit: int
) -> OrderedPage[Contact]:
    """Return the page after `cursor` of the contacts that match the filters; `number` is their count.

    An invalid cursor means the first page. Contacts filtered by date are read in the order of that date.
    """
    order = ORDERS.get(sort, ORDERS[NEWEST])
    dated = filters.get("added_from") or filters.get("added_before")
    if dated and order == ORDERS[NEWEST]:
        order = _BY_DATE
    before_id = read_cursor(cursor, Contact.objects.all(), ["id"]) if order == ORDERS[NEWEST] else []
    contacts = Contact.objects.narrow(**filters, before_id=before_id[0] if before_id else None)
    contacts = contacts if before_id else rows_after(contacts, order, cursor)
    if order != ORDERS[NEWEST]:  # ids first: an index may cover them and the filters, without access to the rows
        sort_rows = number.value <= (_MAX_SORTED_BY_DATE if dated else _MAX_SORTED)
        ids = (_sorted_without_index(contacts, order) if sort_rows else contacts.order_by(*order)).values("pk")[
            : limit + 1
        ]
        contacts = Contact.objects.filter(pk__in=ids)
    page = page_from_rows(list(contacts.order_by(*order)[: limit + 1]), order, limit)
    prefetch_related_objects(page.items, "tags")
    return page


def _sorted_without_index(contacts: ContactQuerySet, order: Order) -> ContactQuerySet:
    """Order few rows by an expression without index, so that the database starts from the filters.

    Otherwise it might walk along the order and find the rows only at its end.
    """
    name = order[0].removeprefix("-")
    expression = Coalesce(name, name)
    return contacts.order_by(expression.desc() if order[0].startswith("-") else expression.asc(), *order[1:])


def exact_count(contacts: ContactQuerySet) -> int:
    """Return the exact count, for example before an action."""
    return contacts.order_by().count()


def known_attributes() -> list[str]:
    """Return the attribute names of the newest contacts."""
    newest = Contact.objects.order_by("-pk").values_list("attributes", flat=True)[:_NEWEST_EXAMINED]
    return sorted({name for attributes in newest for name in attributes})[:_MAX_NAMES]


def distinct_values(field: str) -> list[str]:
    """Return the distinct values of an indexed text field, without the empty one, by one index entry per value."""
    table, column = (connection.ops.quote_name(name) for name in (Contact._meta.db_table, field))
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH RECURSIVE present(value) AS (SELECT min({column}) FROM {table} WHERE {column} > '' UNION ALL "  # noqa: S608
            f"SELECT (SELECT min({column}) FROM {table} WHERE {column} > present.value) FROM present "
            "WHERE present.value IS NOT NULL) SELECT value FROM present WHERE value IS NOT NULL LIMIT 1000"
        )
        return [value for (value,) in cursor.fetchall()]
