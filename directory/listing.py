"""Long lists of contacts: pages in any order whose cost does not grow with their position, and how many there are."""

import json
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import F, Model, Q, QuerySet, prefetch_related_objects
from django.db.models.fields.tuple_lookups import Tuple, TupleGreaterThan, TupleLessThan
from django.db.models.functions import Coalesce
from django.db.models.lookups import Lookup

from directory.models import Contact, ContactQuerySet

M = TypeVar("M", bound=Model)

NEWEST, NAME, PHONE, CHANGED = "newest", "name", "phone", "changed"
# Each order is that of an index, and no two contacts stand at the same place of it.
_ORDERS: Final[dict[str, tuple[str, ...]]] = {
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


@dataclass(frozen=True)
class Ordered(Generic[M]):
    """Rows of one page, and the cursor of the next."""

    items: list[M]
    next: str | None


def contacts_page(
    filters: dict[str, Any], number: Number, *, sort: str = NEWEST, cursor: str = "", limit: int
) -> Ordered[Contact]:
    """The page after `cursor` of what `ContactQuerySet.narrow` finds by the filters, `number` of them.

    A cursor that can't be read means the first page. The newest of those narrowed by the day are found by that day.
    """
    order = _ORDERS.get(sort, _ORDERS[NEWEST])
    dated = filters.get("added_from") or filters.get("added_before")
    if dated and order == _ORDERS[NEWEST]:
        order = _BY_DATE
    below = _read(cursor, Contact, ["id"]) if order == _ORDERS[NEWEST] else []
    found = Contact.objects.narrow(**filters, below=below[0] if below else None)
    few = number.value <= (_SORTED_OF_DAYS if dated else _SORTED)
    page = page_after(found, order, "" if below else cursor, limit, few=few)
    prefetch_related_objects(page.items, "tags")
    return page


def page_after(found: QuerySet[M], order: tuple[str, ...], cursor: str, limit: int, *, few: bool = False) -> Ordered[M]:
    """The page after `cursor` in an order of one or two fields (both ascending or both descending) that is strict."""
    names = [name.removeprefix("-") for name in order]
    after = _read(cursor, found.model, names)
    if after:
        found = found.filter(_after(names, after, descending=order[0].startswith("-")))
    if names != ["id"]:  # the ids first: an index may tell them, and the filters, without a look at the rows
        first = (_sorted(found, order) if few else found.order_by(*order)).values("pk")[: limit + 1]
        found = found.model._default_manager.filter(pk__in=first)
    rows = list(found.order_by(*order)[: limit + 1])
    last = [getattr(rows[limit - 1], name) for name in names] if len(rows) > limit else None
    return Ordered(rows[:limit], json.dumps(last, default=str, ensure_ascii=False) if last else None)


def _sorted(found: QuerySet[M], order: tuple[str, ...]) -> QuerySet[M]:
    """Few rows, in that order by an expression that no index knows, so that the filters are what is looked up.

    Else the database might walk along the order in the hope of meeting some soon, and meet them at its end.
    """
    name = order[0].removeprefix("-")
    same = Coalesce(name, name)
    return found.order_by(same.desc() if order[0].startswith("-") else same.asc(), *order[1:])


def _read(cursor: str, model: type[Model], names: list[str]) -> list[Any]:
    """The values of those fields in the last row of the page before, or nothing."""
    try:
        values = json.loads(cursor)
        fields = [model._meta.get_field(name) for name in names]
        return [_value(field, value) for field, value in zip(fields, values, strict=True)]
    except (ValueError, TypeError, OverflowError, RecursionError, ValidationError):
        return []


def _value(field: Any, value: Any) -> Any:
    """As the field has it; ValueError where a database could not compare it."""
    read = field.to_python(value)
    if read is None or (isinstance(read, int) and not 0 <= read < 2**63) or (isinstance(read, str) and "\0" in read):
        raise ValueError
    return read


def _after(names: list[str], values: list[Any], *, descending: bool) -> Lookup[bool] | Q:
    """Rows beyond those values: of two fields compared as one, which an index answers at once."""
    if len(names) == 1:
        return Q(**{f"{names[0]}__{'lt' if descending else 'gt'}": values[0]})
    compare = TupleLessThan if descending else TupleGreaterThan
    lookup: Lookup[bool] = compare(Tuple(*map(F, names)), values)
    return lookup


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
