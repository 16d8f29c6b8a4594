"""Forms of prices. They parse input; the services check the rules."""

from datetime import date
from decimal import Decimal
from typing import Any, ClassVar, Final

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from phonenumbers import SUPPORTED_REGIONS

from campaigns.prices.entries import Entry, check_year, exact, read_area
from campaigns.prices.services import CURRENT, EARLIER, LATER
from campaigns.prices.tariff import today
from directory.contacts.widgets import DateInput
from directory.countries import country_options
from project.core.money import MAX_AMOUNT, PLACES
from project.http.lists import ListForm

MAX_FILE_SIZE: Final = 1024 * 1024


class PriceForm(forms.Form):
    """A price of a part for an area."""

    area = forms.CharField(
        label=_("Country or prefix"),
        required=False,
        max_length=60,
        widget=forms.TextInput(attrs={"list": "countries", "autocomplete": "off", "placeholder": "KZ"}),
        help_text=_(
            "A country, or the first digits of phone numbers such as 7727. Leave empty for all other countries."
        ),
    )
    price = forms.DecimalField(
        label=_("Price per part"), min_value=0, max_value=MAX_AMOUNT, decimal_places=PLACES, localize=True
    )
    valid_from = forms.DateField(
        label=_("Valid from"),
        widget=DateInput,
        help_text=_("Messages that are already sent keep their recorded cost."),
    )

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, initial={"valid_from": today()})
        self.fields["price"].widget.attrs["inputmode"] = "decimal"

    def clean_area(self) -> str:
        """Read the area."""
        return read_area(self.cleaned_data["area"])

    def clean_price(self) -> Decimal:
        """Return the price as it is stored."""
        return exact(self.cleaned_data["price"])

    def clean_valid_from(self) -> date:
        """Limit the year."""
        return check_year(self.cleaned_data["valid_from"])

    def entry(self) -> Entry:
        """Return the price of a valid form."""
        return Entry(**self.cleaned_data)


class PriceFileForm(forms.Form):
    """A CSV file with prices."""

    file = forms.FileField(
        label=_("CSV file"),
        widget=forms.ClearableFileInput(attrs={"accept": ".csv,.txt,text/csv"}),
        help_text=_(
            "With the columns “area” (or “country”, “prefix”), “price” and “valid_from”. "
            "Prices for the same numbers and day are replaced, all others stay."
        ),
    )

    def clean_file(self) -> Any:
        """Limit the size."""
        file = self.cleaned_data["file"]
        if file.size > MAX_FILE_SIZE:
            raise ValidationError(_("The file is larger than 1 MB."))
        return file


class PriceListForm(ListForm):
    """Search and filter of a gateway's prices."""

    searched = _("Country or prefix")
    orders: ClassVar = {"area": (_("Country or prefix"), ("area", "valid_from"))}
    state = forms.ChoiceField(
        label=_("Valid"),
        required=False,
        choices=[
            ("", _("At any time")),
            (CURRENT, _("Today")),
            (LATER, _("From a later day")),
            (EARLIER, _("Until an earlier day")),
        ],
    )

    def matching(self) -> Q:
        """Return the condition that the rows meet."""
        wanted = self.read()
        text = (wanted["q"] or "").strip()
        digits = text.removeprefix("+").replace(" ", "")
        named = [code for code, name in country_options(SUPPORTED_REGIONS) if text.casefold() in name.casefold()]
        areas = Q(area__istartswith=digits) | Q(area__in=named) if text else Q()
        return areas & Q(state=wanted["state"]) if wanted["state"] else areas
