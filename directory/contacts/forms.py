"""Forms of the contact pages. They parse input; the services check the rules."""

from copy import copy
from datetime import date, datetime, time, timedelta
from functools import cache
from itertools import chain
from typing import Any, ClassVar, Final, cast

from django import forms
from django.core.exceptions import BadRequest, ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.http import QueryDict
from django.utils.choices import CallableChoiceIterator
from django.utils.timezone import make_aware
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.models import User
from accounts.optimistic_locking import VersionedForm
from accounts.time_zones import place, zone_groups, zone_options
from directory import phones
from directory.contacts import attributes
from directory.contacts.listing import CHANGED, NAME, NEWEST, ORDERS, PHONE, distinct_values
from directory.contacts.widgets import Chips, DateInput, ToneChoice
from directory.countries import country_options
from directory.fields import EDITABLE
from directory.models import BulkActionType, Contact, Source, Tag, Tone
from directory.suppression.services import NEWEST_FIRST
from project.http.lists import ListForm, check_understood

_STATES: Final[dict[str, dict[str, bool]]] = {
    "": {"is_active": True},
    "opted_out": {"is_active": True, "opted_out": True},
    "deactivated": {"is_active": False},
    "all": {},
}
_MAX_TAGS_OFFERED: Final = 500
_DATE_RANGE: Final = (MinValueValidator(date(1900, 1, 1)), MaxValueValidator(date(2999, 12, 31)))
MAX_TICKED: Final = 1000
MAX_LIST_BYTES: Final = 2 * 1024 * 1024
OFFERED_ACTIONS: Final = (
    BulkActionType.TAG,
    BulkActionType.UNTAG,
    BulkActionType.DEACTIVATE,
    BulkActionType.REACTIVATE,
)


def _tag_options() -> list[tuple[str, Any]]:
    return [(name, name) for name in Tag.objects.values_list("name", flat=True)[:_MAX_TAGS_OFFERED]]


def _operator_options() -> list[tuple[str, Any]]:
    return [("", _("Any operator")), *((code, code) for code in distinct_values("operator_code"))]


def _country_options() -> list[tuple[str, Any]]:
    return [("", _("Any country")), *country_options(distinct_values("country"))]


def _zone_options() -> list[tuple[str, Any]]:
    return [("", _("Any time zone")), *zone_options(distinct_values("timezone"))]


def _owner_options() -> list[tuple[str, Any]]:
    return [("", _("Any user")), *((str(user.pk), str(user)) for user in User.objects.order_by("email"))]


_OPTIONS: Final = {
    "tag": _tag_options,
    "operator_code": _operator_options,
    "country": _country_options,
    "timezone": _zone_options,
    "owner": _owner_options,
}


class FreeMultipleChoiceField(forms.MultipleChoiceField):
    """Multiple values that need not be among the choices; unknown ones match nothing."""

    def valid_value(self, value: Any) -> bool:
        """Accept every text that a database can compare."""
        return attributes.is_storable(str(value))


class FilterForm(ListForm):
    """The filters of the contact list. Choices are read only when the form is rendered."""

    searched = _("Name or phone")
    orders: ClassVar = {
        NEWEST: (_("Newest first"), ORDERS[NEWEST]),
        NAME: (_("Name"), ORDERS[NAME]),
        PHONE: (_("Phone"), ORDERS[PHONE]),
        CHANGED: (_("Recently changed first"), ORDERS[CHANGED]),
    }
    tag = FreeMultipleChoiceField(label=_("Any of these tags"), required=False, widget=Chips)
    operator_code = forms.CharField(label=_("Operator code"), required=False, widget=forms.Select)
    country = forms.CharField(label=_("Country"), required=False, widget=forms.Select)
    timezone = forms.CharField(label=_("Time zone"), required=False, widget=forms.Select)
    state = forms.ChoiceField(
        label=_("Status"),
        required=False,
        choices=[
            ("", pgettext_lazy("contacts", "Active")),
            ("opted_out", pgettext_lazy("contacts", "Opted out")),
            ("deactivated", pgettext_lazy("contacts", "Deactivated")),
            ("all", _("All")),
        ],
    )
    owner = forms.IntegerField(
        label=_("Added by"), required=False, min_value=1, max_value=2**63 - 1, widget=forms.Select
    )
    added_from = forms.DateField(label=_("Added from"), required=False, widget=DateInput, validators=_DATE_RANGE)
    added_to = forms.DateField(label=_("Added until"), required=False, widget=DateInput, validators=_DATE_RANGE)

    def __init__(self, data: QueryDict) -> None:
        super().__init__(data)
        for name, options in _OPTIONS.items():
            cast("forms.Select", self.fields[name].widget).choices = CallableChoiceIterator(cache(options))

    @property
    def offers_countries(self) -> bool:
        """Whether there is a choice of countries: contacts of several, or a selected one."""
        _any_country, *countries = cast("forms.Select", self.fields["country"].widget).choices
        return len(countries) > 1 or "country" in self.data

    @property
    def uses_more(self) -> bool:
        """Whether one of the filters is used that are hidden at first."""
        return any(name in self.data for name in (*_OPTIONS, "added_from", "added_to"))

    def filters(self) -> dict[str, Any]:
        """Return arguments for `ContactQuerySet.narrow`, without invalid ones. Days are in the user's time zone."""
        read = self.read()
        fields = {name: read[name] for name in ("q", "operator_code", "country", "timezone", "owner")}
        first, last = read["added_from"], read["added_to"]
        dates = {
            "added_from": first and make_aware(datetime.combine(first, time.min)),
            "added_before": last and make_aware(datetime.combine(last + timedelta(days=1), time.min)),
        }
        return {**fields, **dates, **_STATES[read["state"] or ""], "tags": read["tag"] or []}


class BulkForm(forms.Form):
    """An action, and its contacts: the ticked ones, or all that the list's query string matches."""

    kind = forms.ChoiceField(choices=[(kind.value, kind.label) for kind in OFFERED_ACTIONS], widget=forms.HiddenInput)
    contact = FreeMultipleChoiceField(required=False, widget=forms.MultipleHiddenInput)
    everything = forms.BooleanField(required=False, widget=forms.HiddenInput)
    query = forms.CharField(required=False, max_length=5000, widget=forms.HiddenInput)
    tag = forms.CharField(
        label=_("Tag"),
        required=False,
        widget=forms.TextInput(attrs={"list": "tag-names", "autocomplete": "off", "required": True, "autofocus": True}),
    )

    def clean_contact(self) -> list[int]:
        """Parse ids."""
        ids = self.cleaned_data["contact"]
        if len(ids) > MAX_TICKED or not all(each.isascii() and each.isdigit() and len(each) < 19 for each in ids):
            raise ValidationError(_("Select the contacts again."))
        return [int(each) for each in ids]

    def clean(self) -> dict[str, Any]:
        """Require contacts."""
        cleaned = self.cleaned_data
        if not cleaned.get("everything") and not cleaned.get("contact"):
            raise ValidationError(_("Select contacts first."))
        if cleaned.get("everything"):
            try:
                check_understood(FilterForm(QueryDict(cleaned.get("query", ""))))
            except BadRequest as error:
                raise ValidationError(_("The list filter is not valid. Open the list again.")) from error
        return cleaned

    def selection(self) -> dict[str, Any]:
        """Return ids or filters for `directory.bulk_actions.work`."""
        if self.cleaned_data["everything"]:
            return {"ids": None, "filters": FilterForm(QueryDict(self.cleaned_data["query"])).filters()}
        return {"ids": self.cleaned_data["contact"], "filters": {}}


class ContactForm(VersionedForm, forms.Form):
    """A contact's fields."""

    phone = forms.CharField(
        label=_("Phone"),
        max_length=40,
        widget=forms.TextInput(attrs={"type": "tel", "autocomplete": "off", "placeholder": "+7 999 123-45-67"}),
    )
    first_name = forms.CharField(label=_("First name"), max_length=150, required=False)
    last_name = forms.CharField(label=_("Last name"), max_length=150, required=False)
    tags = forms.CharField(
        label=_("Tags"),
        required=False,
        help_text=_("Separate tags with commas."),
        widget=forms.TextInput(attrs={"list": "tag-names", "autocomplete": "off", "placeholder": _("vip, new")}),
    )
    timezone = forms.CharField(
        label=_("Time zone"),
        required=False,
        help_text=_("Used for local sending times and quiet hours."),
        widget=forms.Select(),
    )
    attributes = forms.CharField(
        label=_("Attributes"),
        required=False,
        help_text=_(
            "One per line, as “name: value”. You can insert attributes in a campaign’s text, for example {city}."
        ),
        widget=forms.Textarea(attrs={"rows": 4, "placeholder": "city: Omsk", "spellcheck": "false"}),
    )
    opted_out = forms.BooleanField(
        label=_("Opted out"), required=False, help_text=_("The contact has opted out: campaigns do not send to it.")
    )

    def __init__(self, data: Any = None, *, contact: Contact | None = None) -> None:
        super().__init__(data, initial=_initial(contact) if contact else None)
        self.edited = contact
        self.stored_attributes = contact.attributes if contact else {}
        if contact and (not self.is_bound or "initial-phone" in self.data):
            for field in self.fields.values():
                field.show_hidden_initial = True
        first = (contact.timezone, place(contact.timezone)) if contact else ("", _("From the phone number"))
        self.fields["timezone"].widget = forms.Select(choices=[first, *zone_groups()])

    def clean_tags(self) -> list[str]:
        """Split at commas."""
        return [tag for tag in self.cleaned_data["tags"].split(",") if tag.strip()]

    def clean_attributes(self) -> dict[str, Any]:
        """Parse lines."""
        return attributes.parse_lines(self.cleaned_data["attributes"], self.stored_attributes)

    def changes(self) -> dict[str, Any]:
        """Return what the user changed in the form, even if the contact has changed meanwhile."""
        return {name: value for name, value in self.cleaned_data.items() if name in self.changed_data}


class TagListForm(ListForm):
    """Search and order of the list of tags."""

    searched = pgettext_lazy("tag", "Name")
    orders: ClassVar = {
        "name": (pgettext_lazy("tag", "Name"), ("name",)),
        "contacts": (_("Most used first"), ("-number", "-id")),
    }


class AudienceListForm(ListForm):
    """Search and order of the list of saved audiences."""

    searched = pgettext_lazy("audience", "Name")
    orders: ClassVar = {
        "name": (pgettext_lazy("audience", "Name"), ("lower_name", "id")),
        "changed": (_("Recently changed first"), ("-updated_at", "-id")),
    }


class SuppressionListForm(ListForm):
    """Search and filter of the suppression list."""

    searched = _("Part of a phone number")
    orders: ClassVar = {
        "newest": (_("Newest first"), NEWEST_FIRST),
        "phone": (_("Phone"), ("phone",)),
    }
    source = forms.ChoiceField(
        label=pgettext_lazy("suppression", "Source"), required=False, choices=[("", _("Any")), *Source.choices]
    )


class TagForm(VersionedForm, forms.Form):
    """Name and colour of a tag."""

    name = forms.CharField(label=pgettext_lazy("tag", "Name"), max_length=200)
    tone = forms.ChoiceField(label=_("Colour"), required=False, choices=Tone.choices, widget=ToneChoice)

    def __init__(self, data: Any = None, *, tag: Tag) -> None:
        super().__init__(data, initial={"name": tag.name, "tone": tag.tone})
        self.edited = copy(tag)  # a copy: a refused change leaves its values in the tag


class SuppressForm(forms.Form):
    """Phones for the suppression list, typed or from a text file, one per line."""

    phones = forms.CharField(
        label=_("Phone numbers"),
        required=False,
        max_length=100_000,
        help_text=_("One per line."),
        widget=forms.Textarea(attrs={"rows": 3, "placeholder": "+7 999 123-45-67", "spellcheck": "false"}),
    )
    file = forms.FileField(
        label=_("Or upload a file"),
        required=False,
        help_text=_("Text or CSV, one phone number per line, in the first column."),
    )
    reason = forms.CharField(label=_("Reason"), required=False, max_length=200)

    def clean_file(self) -> Any:
        """Limit the size."""
        file = self.cleaned_data["file"]
        if file and file.size > MAX_LIST_BYTES:
            raise ValidationError(_("The file is larger than 2 MB. Split it into several files."))
        return file

    def clean(self) -> dict[str, Any]:
        """Require phones or a file."""
        cleaned = self.cleaned_data
        if not cleaned.get("phones", "").strip() and not cleaned.get("file") and not self.errors:
            self.add_error("phones", _("Enter a phone number or choose a file."))
        return cleaned

    def read(self) -> tuple[list[int], list[tuple[int, str, str]]]:
        """Return the phones, and the rejected lines: number, beginning, reason."""
        file = self.cleaned_data["file"]
        text = file.read().decode("utf-8-sig", errors="replace") if file else ""
        numbers: dict[int, None] = {}
        rejected = []
        lines = (enumerate(part.splitlines(), start=1) for part in (self.cleaned_data["phones"], text))
        for row, line in chain.from_iterable(lines):
            text_of_phone = line.strip().partition(";")[0].partition(",")[0].strip("\"' \t")
            if not text_of_phone:
                continue
            try:
                numbers[phones.normalise(text_of_phone)] = None
            except ValidationError as error:
                rejected.append((row, text_of_phone[:40], " ".join(error.messages)))
        return list(numbers), rejected


class ReleaseForm(forms.Form):
    """Confirmation that a phone may be contacted again."""

    sure = forms.BooleanField(label=_("This person has agreed to receive messages again."))


def _initial(contact: Contact) -> dict[str, Any]:
    return {
        **{name: getattr(contact, name) for name in EDITABLE},
        "phone": phones.pretty(contact.phone),
        "tags": ", ".join(tag.name for tag in contact.tags.all()),
        "attributes": attributes.to_lines(contact.attributes),
    }
