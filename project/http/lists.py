"""Lists on pages: search, filters and order from the query string, and pages of constant cost."""

import json
import re
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any, ClassVar, Final, Generic, TypeVar

from django import forms
from django.core.exceptions import BadRequest, ValidationError
from django.db.models import F, Model, Q, QuerySet
from django.db.models.fields.tuple_lookups import Tuple, TupleGreaterThan, TupleLessThan
from django.db.models.lookups import Lookup
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext_lazy as _
from django_htmx.http import replace_url

from project.http.client import UserRequest

M = TypeVar("M", bound=Model)
Rows = TypeVar("Rows", bound=QuerySet[Any])

Order = tuple[str, ...]
"""One or two fields, both ascending or both descending, whose combination is unique."""
NEWEST: Final[Order] = ("-id",)


class QueryForm(forms.Form):
    """The filters of a list, from the query string. Invalid ones do not narrow."""

    q = forms.CharField(
        label=_("Search"),
        max_length=100,
        required=False,
        widget=forms.TextInput(attrs={"type": "search", "autocomplete": "off"}),
    )
    cursor = forms.CharField(required=False, max_length=1000, widget=forms.HiddenInput)

    def read(self) -> dict[str, Any]:
        """Return all valid values."""
        self.is_valid()
        return {name: self.cleaned_data.get(name) for name in self.fields}


class ListForm(QueryForm):
    """Filters and order of a list. The first of `orders` is the default; `searched` describes what `q` searches."""

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
        """Whether a filter is active."""
        return bool(self.data.keys() & self.fields.keys() - {"sort", "cursor"})

    def sort(self) -> str:
        """Return the name of the requested order, or of the default."""
        return self.read().get("sort") or next(iter(self.orders))

    def page(self, rows: QuerySet[M], limit: int) -> "OrderedPage[M]":
        """Return the requested page."""
        return page_after(rows, self.orders[self.sort()][1], self.read()["cursor"], limit)


def check_understood(form: forms.Form) -> None:
    """Raise BadRequest for parameters that are unknown or invalid.

    For pages that act or export: a misspelt filter would include everything.
    """
    invalid = sorted(form.data.keys() - form.fields.keys()) or list(form.errors)
    if invalid:
        raise BadRequest(f"Unknown or unreadable parameter: {invalid[0]}")


def clean_query(request: HttpRequest) -> QueryDict:
    """Remove empty parameters from the query string. Links to other pages are built from the result."""
    cleaned = request.GET.copy()
    for name in [name for name, values in cleaned.lists() if not any(values)]:
        del cleaned[name]
    request.GET = cleaned  # type: ignore[assignment]
    return cleaned


def render_list(request: UserRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """Render a list. A live search gets only the partial `found`, and the URL that shows the same."""
    part = "#found" if request.htmx else ""
    response = render(request, f"{template}{part}", context)
    patch_vary_headers(response, ["HX-Request"])
    if not part:
        return response
    return replace_url(response, f"{request.path}?{request.GET.urlencode()}" if request.GET else request.path)


@dataclass(frozen=True)
class OrderedPage(Generic[M]):
    """Rows of a page, and the cursor of the next."""

    items: list[M]
    next: str | None


def contains_words(text: str, *fields: str) -> Q:
    """Match rows that contain each word of the text in one of the fields, ignoring case."""
    rows = Q()
    for word in text.split():
        # SQLite's LIKE ignores case for ASCII letters only; its REGEXP is Python's.
        rows &= reduce(or_, (Q(**{f"{field}__iregex": re.escape(word)}) for field in fields))
    return rows


def page_after(rows: QuerySet[M], order: Order, cursor: str | None, limit: int) -> OrderedPage[M]:
    """Return the page after `cursor`. An invalid cursor means the first page."""
    return page_from_rows(list(rows_after(rows, order, cursor).order_by(*order)[: limit + 1]), order, limit)


def rows_after(rows: Rows, order: Order, cursor: str | None) -> Rows:
    """Return the rows after the cursor's row. Two fields are compared as a tuple, which an index answers directly."""
    names = [name.removeprefix("-") for name in order]
    values, descending = read_cursor(cursor, rows, names), order[0].startswith("-")
    if not values:
        return rows
    if len(names) == 1:
        return rows.filter(Q(**{f"{names[0]}__{'lt' if descending else 'gt'}": values[0]}))
    compare = TupleLessThan if descending else TupleGreaterThan
    comparison: Lookup[bool] = compare(Tuple(*map(F, names)), values)
    return rows.filter(comparison)


def page_from_rows(rows: list[M], order: Order, limit: int) -> OrderedPage[M]:
    """Make a page from rows, of which one more was read than it shows."""
    if len(rows) <= limit:
        return OrderedPage(rows, None)
    last = [getattr(rows[limit - 1], name.removeprefix("-")) for name in order]
    return OrderedPage(rows[:limit], json.dumps(last if len(last) > 1 else last[0], default=str, ensure_ascii=False))


def read_cursor(cursor: str | None, rows: QuerySet[Any], names: list[str]) -> list[Any]:
    """Return the values of those fields in the last row of the page before, or an empty list."""
    try:
        read = json.loads(cursor or "")
        values = [read] if len(names) == 1 else read
        return [_value(_field(rows, name), value) for name, value in zip(names, values, strict=True)]
    except (ValueError, TypeError, OverflowError, RecursionError, ValidationError):
        return []


def _field(rows: QuerySet[Any], name: str) -> Any:
    """Return a model field, or the output field of an annotation or generated field."""
    field: Any = rows.query.annotations.get(name) or rows.model._meta.get_field(name)
    return getattr(field, "output_field", field)


def _value(field: Any, value: Any) -> Any:
    """Convert a value to the field's type. Raises ValueError if a database could not compare it."""
    read = field.to_python(value)
    if read is None or (isinstance(read, int) and not 0 <= read < 2**63):
        raise ValueError
    if isinstance(read, str) and (not isinstance(value, str) or "\0" in read):
        raise ValueError
    return read
