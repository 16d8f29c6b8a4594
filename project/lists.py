"""Lists on pages: searched, narrowed and sorted by what the address says, in pages whose cost does not grow."""

import json
import re
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any, ClassVar, Final, Generic, TypeVar

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import F, Model, Q, QuerySet
from django.db.models.fields.tuple_lookups import Tuple, TupleGreaterThan, TupleLessThan
from django.db.models.lookups import Lookup
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext_lazy as _
from django_htmx.http import replace_url

from project.http import Signed

M = TypeVar("M", bound=Model)
Rows = TypeVar("Rows", bound=QuerySet[Any])

Order = tuple[str, ...]
"""One or two fields, both ascending or both descending, that no two rows share."""
NEWEST: Final[Order] = ("-id",)


class AddressForm(forms.Form):
    """What narrows a list; it lives in the page's address, and what can't be read does not narrow."""

    q = forms.CharField(
        label=_("Search"),
        max_length=100,
        required=False,
        widget=forms.TextInput(attrs={"type": "search", "autocomplete": "off"}),
    )
    cursor = forms.CharField(required=False, max_length=1000, widget=forms.HiddenInput)

    def read(self) -> dict[str, Any]:
        """All that could be read."""
        self.is_valid()
        return {name: self.cleaned_data.get(name) for name in self.fields}


class ListForm(AddressForm):
    """What narrows and sorts a list; the first of `orders` is the usual one, and `searched` says what `q` looks in."""

    searched: ClassVar[Any] = ""
    orders: ClassVar[dict[str, tuple[Any, Order]]]

    def __init__(self, data: QueryDict) -> None:
        super().__init__(data)
        self.fields["q"].widget.attrs["placeholder"] = self.searched
        if len(self.orders) > 1:
            names = ["", *list(self.orders)[1:]]
            choices = [(name, label) for name, (label, _order) in zip(names, self.orders.values(), strict=True)]
            self.fields["sort"] = forms.ChoiceField(label=_("Sort by"), required=False, choices=choices)

    @property
    def narrowed(self) -> bool:
        """Whether the address leaves anything out of the list."""
        return bool(self.data.keys() & self.fields.keys() - {"sort", "cursor"})

    def sort(self) -> str:
        """The name of the order that is asked for, or of the usual one."""
        return self.read().get("sort") or next(iter(self.orders))

    def page(self, found: QuerySet[M], limit: int) -> "Ordered[M]":
        """The page of what is found that the address asks for."""
        return page_after(found, self.orders[self.sort()][1], self.read()["cursor"], limit)


def tidied(request: HttpRequest) -> QueryDict:
    """What the address says, without what it leaves empty; links to other pages of the list are built from it too."""
    asked = request.GET.copy()
    for name in [name for name, values in asked.lists() if not any(values)]:
        del asked[name]
    request.GET = asked  # type: ignore[assignment]
    return asked


def list_shown(request: Signed, template: str, context: dict[str, Any]) -> HttpResponse:
    """The page of a list; a live search gets its part `found` alone, and the address that shows the same."""
    part = "#found" if request.htmx else ""
    response = render(request, f"{template}{part}", context)
    patch_vary_headers(response, ["HX-Request"])
    if not part:
        return response
    return replace_url(response, f"{request.path}?{request.GET.urlencode()}" if request.GET else request.path)


@dataclass(frozen=True)
class Ordered(Generic[M]):
    """Rows of one page, and the cursor of the next."""

    items: list[M]
    next: str | None


def holding(text: str, *fields: str) -> Q:
    """What has each word of the text in one of those fields, whatever the case."""
    found = Q()
    for word in text.split():
        # SQLite's LIKE ignores the case of ASCII letters only; its REGEXP is Python's own.
        found &= reduce(or_, (Q(**{f"{field}__iregex": re.escape(word)}) for field in fields))
    return found


def page_after(found: QuerySet[M], order: Order, cursor: str | None, limit: int) -> Ordered[M]:
    """The page after `cursor` in that order; a cursor that can't be read means the first page."""
    return cut(list(after(found, order, cursor).order_by(*order)[: limit + 1]), order, limit)


def after(found: Rows, order: Order, cursor: str | None) -> Rows:
    """Those beyond the row that the cursor tells: of two fields compared as one, which an index answers at once."""
    names = [name.removeprefix("-") for name in order]
    values, descending = read_cursor(cursor, found, names), order[0].startswith("-")
    if not values:
        return found
    if len(names) == 1:
        return found.filter(Q(**{f"{names[0]}__{'lt' if descending else 'gt'}": values[0]}))
    compare = TupleLessThan if descending else TupleGreaterThan
    beyond: Lookup[bool] = compare(Tuple(*map(F, names)), values)
    return found.filter(beyond)


def cut(rows: list[M], order: Order, limit: int) -> Ordered[M]:
    """A page of rows of which one more was read than it shows."""
    if len(rows) <= limit:
        return Ordered(rows, None)
    last = [getattr(rows[limit - 1], name.removeprefix("-")) for name in order]
    return Ordered(rows[:limit], json.dumps(last if len(last) > 1 else last[0], default=str, ensure_ascii=False))


def read_cursor(cursor: str | None, found: QuerySet[Any], names: list[str]) -> list[Any]:
    """The values of those fields in the last row of the page before, or nothing."""
    try:
        read = json.loads(cursor or "")
        values = [read] if len(names) == 1 else read
        return [_value(_field(found, name), value) for name, value in zip(names, values, strict=True)]
    except (ValueError, TypeError, OverflowError, RecursionError, ValidationError):
        return []


def _field(found: QuerySet[Any], name: str) -> Any:
    """The field, or what an annotation or the database makes of others."""
    field: Any = found.query.annotations.get(name) or found.model._meta.get_field(name)
    return getattr(field, "output_field", field)


def _value(field: Any, value: Any) -> Any:
    """As the field has it; ValueError where a database could not compare it."""
    read = field.to_python(value)
    if read is None or (isinstance(read, int) and not 0 <= read < 2**63):
        raise ValueError
    if isinstance(read, str) and (not isinstance(value, str) or "\0" in read):
        raise ValueError
    return read
