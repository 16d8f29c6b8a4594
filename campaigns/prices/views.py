"""Administrators' pages of prices: what a gateway charges, by country or prefix."""

from typing import Any, Final

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.formats import date_format
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from phonenumbers import SUPPORTED_REGIONS

from campaigns.gateways.policies import check_may_manage_gateways
from campaigns.gateways.registry import known_gateway
from campaigns.models import Gateway, Price
from campaigns.prices import services
from campaigns.prices.entries import Entry
from campaigns.prices.forms import PriceFileForm, PriceForm, PriceListForm
from campaigns.prices.tables import BadTable, read_table, write_table
from campaigns.prices.tariff import today
from campaigns.wording import area_name
from directory.countries import country_options
from directory.exports.contacts import attachment
from project.core.money import price as price_words
from project.core.numbers import number
from project.http.client import UserRequest
from project.http.lists import clean_query, render_list

_PAGE_SIZE: Final = 100


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def prices(request: UserRequest, name: str) -> HttpResponse:
    """List a gateway's prices; a POST adds one, or replaces that of the same area and day."""
    gateway = _managed(request, name)
    form = PriceForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        entry = form.entry()
        try:
            saved = services.prices_save(gateway=name, entries=[entry], by=request.user)
        except ValidationError as error:
            form.add_error(None, error)
        else:
            messages.success(request, _saved_words(entry, saved))
            return redirect("gateways:prices", name)
    context = _context(request, gateway) | {"adding": form}
    if form.is_bound:
        return render(request, "campaigns/prices.html", context, status=422)
    return render_list(request, "campaigns/prices.html", context)


@require_POST
@login_required
def prices_import(request: UserRequest, name: str) -> HttpResponse:
    """Save all prices of a CSV file, or none if any row is wrong."""
    gateway = _managed(request, name)
    form, problems = PriceFileForm(request.POST, request.FILES), []
    if form.is_valid():
        try:
            entries = read_table(form.cleaned_data["file"].read(), today())
            saved = services.prices_save(gateway=name, entries=entries, by=request.user)
        except BadTable as error:
            problems = error.problems
        except ValidationError as error:
            form.add_error("file", error)
        else:
            messages.success(request, _imported_words(len(entries), saved))
            return redirect("gateways:prices", name)
    context = _context(request, gateway) | {"upload": form, "problems": problems}
    return render(request, "campaigns/prices.html", context, status=422)


@require_safe
@login_required
def prices_export(request: UserRequest, name: str) -> StreamingHttpResponse:
    """Download all prices of a gateway as CSV."""
    _managed(request, name)
    rows = Price.objects.filter(gateway=name).order_by("area", "valid_from").values_list("area", "valid_from", "price")
    return attachment(write_table(map(Entry._make, rows.iterator(chunk_size=1000))), f"prices-{name}.csv")


@login_required
def price_delete(request: UserRequest, name: str, pk: int) -> HttpResponse:
    """Ask for confirmation, then delete a price."""
    gateway = _managed(request, name)
    row = get_object_or_404(services.prices_of(name, today()), pk=pk)
    if request.method == "POST":
        services.price_delete(row=row, by=request.user)
        messages.success(request, _("Price deleted. Costs that are already recorded do not change."))
        return redirect("gateways:prices", name)
    return render(request, "campaigns/price_delete.html", {"gateway": gateway, "row": row})


def _managed(request: UserRequest, name: str) -> Gateway:
    check_may_manage_gateways(request.user)
    return known_gateway(name)


def _context(request: UserRequest, gateway: Gateway) -> dict[str, Any]:
    """Return the context of the page, with empty forms."""
    form = PriceListForm(clean_query(request))
    return {
        "gateway": gateway,
        "form": form,
        "page": form.page(services.prices_of(gateway.name, today()).filter(form.matching()), _PAGE_SIZE),
        "adding": PriceForm(),
        "upload": PriceFileForm(),
        "countries": country_options(SUPPORTED_REGIONS),
        "currency": settings.CURRENCY,
    }


def _saved_words(entry: Entry, saved: services.Saved) -> str:
    values = {
        "area": capfirst(area_name(entry.area)),
        "price": price_words(entry.price),
        "day": date_format(entry.valid_from, _("j M Y")),
    }
    if saved.replaced:
        return _("%(area)s: the price from %(day)s is now %(price)s. It replaces the one of the same day.") % values
    return _("%(area)s: %(price)s per part from %(day)s.") % values


def _imported_words(total: int, saved: services.Saved) -> str:
    read = ngettext("%(number)s price read:", "%(number)s prices read:", total) % {"number": number(total)}
    unchanged = total - saved.added - saved.replaced
    counts = _("%(added)s added, %(replaced)s replaced, %(unchanged)s unchanged.") % {
        "added": number(saved.added),
        "replaced": number(saved.replaced),
        "unchanged": number(unchanged),
    }
    return f"{read} {counts}"
