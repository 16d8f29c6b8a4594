"""Forms of the contact pages. They only read what people write; the rules are those of the services."""

from datetime import date, datetime, time, timedelta
from functools import cache
from itertools import chain
from typing import Any, ClassVar, Final, cast

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.http import QueryDict
from django.utils.choices import CallableChoiceIterator
from django.utils.timezone import make_aware
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.models import User
from accounts.zones import place, zone_groups, zone_options
from directory import attributes, phones
from directory.listing import CHANGED, NAME, NEWEST, ORDERS, PHONE, present
from directory.models import Contact, Deed, Source, Tag, Tone
from project.lists import ListForm

_STATES: Final[dict[str, dict[str, bool]]] = {
    "": {"is_active": True},
    "opted_out": {"is_active": True, "opted_out": True},
    "deactivated": {"is_active": False},
    "all": {},
}
_MOST_TAGS: Final = 500
_DAYS: Final = (MinValueValidator(date(1900, 1, 1)), MaxValueValidator(date(2999, 12, 31)))
MAX_TICKED: Final = 1000
MAX_LIST_BYTES: Final = 2 * 1024 * 1024
BULK_DEEDS: Final = (Deed.TAG, Deed.UNTAG, Deed.DEACTIVATE, Deed.REACTIVATE)


class Day(forms.DateInput):
    """A date as browsers pick it."""

    input_type = "date"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%d")


class Chips(forms.CheckboxSelectMultiple):
    """Checkboxes that look like chips."""

    template_name = "directory/chips.html"


class Choice(forms.RadioSelect):
    """Radio buttons that look like chips."""

    template_name = "directory/chips.html"


def _tag_options() -> list[tuple[str, Any]]:
    return [(name, name) for name in Tag.objects.values_list("name", flat=True)[:_MOST_TAGS]]


def _operator_options() -> list[tuple[str, Any]]:
    return [("", _("Any operator")), *((code, code) for code in present("operator_code"))]


def _zone_options() -> list[tuple[str, Any]]:
    return [("", _("Any time zone")), *zone_options(present("timezone"))]


def _owner_options() -> list[tuple[str, Any]]:
    return [("", _("Anyone")), *((str(user.pk), str(user)) for user in User.objects.order_by("email"))]


_OPTIONS: Final = {
    "tag": _tag_options,
    "operator_code": _operator_options,
    "timezone": _zone_options,
    "owner": _owner_options,
}


class Tones(Choice):
    """Radio buttons that look like chips, each in its colour."""

    option_template_name = "directory/tone.html"


class Several(forms.MultipleChoiceField):
    """Any names: those that are not offered find nothing, and are no error."""

    def valid_value(self, value: Any) -> bool:
        """Every name may be asked for that a database can compare."""
        return attributes.is_storable(str(value))


class FilterForm(ListForm):
    """What narrows the list of contacts. The options are read only where the form is drawn."""

    searched = _("Name or phone")
    orders: ClassVar = {
        NEWEST: (_("Newest first"), ORDERS[NEWEST]),
        NAME: (_("Name"), ORDERS[NAME]),
        PHONE: (_("Phone"), ORDERS[PHONE]),
        CHANGED: (_("Last changed"), ORDERS[CHANGED]),
    }
    tag = Several(label=_("Any of these tags"), required=False, widget=Chips)
    operator_code = forms.CharField(label=_("Operator code"), required=False, widget=forms.Select)
    timezone = forms.CharField(label=_("Time zone"), required=False, widget=forms.Select)
    state = forms.ChoiceField(
        label=_("State"),
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
    added_from = forms.DateField(label=_("Added from"), required=False, widget=Day, validators=_DAYS)
    added_to = forms.DateField(label=_("Added until"), required=False, widget=Day, validators=_DAYS)

    def __init__(self, data: QueryDict) -> None:
        super().__init__(data)
        for name, options in _OPTIONS.items():
            cast("forms.Select", self.fields[name].widget).choices = CallableChoiceIterator(cache(options))

    def filters(self) -> dict[str, Any]:
        """For `ContactQuerySet.narrow`; what can't be read does not narrow. Days are those of the reader's zone."""
        read = self.read()
        given = {name: read[name] for name in ("q", "operator_code", "timezone", "owner")}
        first, last = read["added_from"], read["added_to"]
        dates = {
            "added_from": first and make_aware(datetime.combine(first, time.min)),
            "added_before": last and make_aware(datetime.combine(last + timedelta(days=1), time.min)),
        }
        return {**given, **dates, **_STATES[read["state"] or ""], "tags": read["tag"] or []}


class BulkForm(forms.Form):
    """What is to be done, and to which contacts: the ticked ones, or all that the list's query string finds."""

    deed = forms.ChoiceField(choices=[(deed.value, deed.label) for deed in BULK_DEEDS], widget=forms.HiddenInput)
    contact = Several(required=False, widget=forms.MultipleHiddenInput)
    everything = forms.BooleanField(required=False, widget=forms.HiddenInput)
    query = forms.CharField(required=False, max_length=5000, widget=forms.HiddenInput)
    tag = forms.CharField(
        label=_("Tag"),
        required=False,
        widget=forms.TextInput(attrs={"list": "tag-names", "autocomplete": "off", "required": True, "autofocus": True}),
    )

    def clean_contact(self) -> list[int]:
        """Ids."""
        ids = self.cleaned_data["contact"]
        if len(ids) > MAX_TICKED or not all(each.isascii() and each.isdigit() and len(each) < 19 for each in ids):
            raise ValidationError(_("Tick the contacts anew."))
        return [int(each) for each in ids]

    def clean(self) -> dict[str, Any]:
        """Something must be chosen."""
        cleaned = self.cleaned_data
        if not cleaned.get("everything") and not cleaned.get("contact"):
            raise ValidationError(_("Tick contacts first."))
        return cleaned

    def chosen(self) -> dict[str, Any]:
        """For `directory.bulk`: ids, or filters."""
        if self.cleaned_data["everything"]:
            return {"ids": None, "filters": FilterForm(QueryDict(self.cleaned_data["query"])).filters()}
        return {"ids": self.cleaned_data["contact"], "filters": {}}


class ContactForm(forms.Form):
    """A contact as people write it."""

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
        help_text=_("Separated by commas."),
        widget=forms.TextInput(attrs={"list": "tag-names", "autocomplete": "off", "placeholder": _("vip, new")}),
    )
    timezone = forms.CharField(
        label=_("Time zone"),
        required=False,
        help_text=_("Campaigns in local time and quiet hours go by it."),
        widget=forms.Select(),
    )
    attributes = forms.CharField(
        label=_("Attributes"),
        required=False,
        help_text=_("One a line, name: value. A campaign’s text can name them, like {city}."),
        widget=forms.Textarea(attrs={"rows": 4, "placeholder": "city: Omsk", "spellcheck": "false"}),
    )
    opted_out = forms.BooleanField(
        label=_("Opted out"), required=False, help_text=_("Asked not to be written to: no campaign does.")
    )

    def __init__(self, data: Any = None, *, contact: Contact | None = None) -> None:
        super().__init__(data, initial=_initial(contact) if contact else None)
        self.known = contact.attributes if contact else {}
        first = (contact.timezone, place(contact.timezone)) if contact else ("", _("As the phone tells"))
        self.fields["timezone"].widget = forms.Select(choices=[first, *zone_groups()])

    def clean_tags(self) -> list[str]:
        """Between the commas."""
        return [tag for tag in self.cleaned_data["tags"].split(",") if tag.strip()]

    def clean_attributes(self) -> dict[str, Any]:
        """Line by line."""
        return attributes.parse_lines(self.cleaned_data["attributes"], self.known)


class TagListForm(ListForm):
    """Which tags the list shows."""

    searched = pgettext_lazy("tag", "Name")
    orders: ClassVar = {
        "name": (pgettext_lazy("tag", "Name"), ("name",)),
        "contacts": (_("Most contacts first"), ("-number", "-id")),
    }


class AudienceListForm(ListForm):
    """Which saved audiences the list shows."""

    searched = pgettext_lazy("audience", "Name")
    orders: ClassVar = {
        "name": (pgettext_lazy("audience", "Name"), ("lower_name", "id")),
        "changed": (_("Last changed"), ("-updated_at", "-id")),
    }


class SuppressionListForm(ListForm):
    """Which phones of the suppression list are shown."""

    searched = _("Part of a phone")
    orders: ClassVar = {
        "newest": (_("Newest first"), ("-created_at", "-phone")),
        "phone": (_("Phone"), ("phone",)),
    }
    source = forms.ChoiceField(
        label=pgettext_lazy("suppression", "Put there"), required=False, choices=[("", _("Any way")), *Source.choices]
    )


class TagForm(forms.Form):
    """A tag's name and colour."""

    name = forms.CharField(label=pgettext_lazy("tag", "Name"), max_length=200)
    tone = forms.ChoiceField(label=_("Colour"), required=False, choices=Tone.choices, widget=Tones)

    def __init__(self, data: Any = None, *, tag: Tag) -> None:
        super().__init__(data, initial={"name": tag.name, "tone": tag.tone})


class SuppressForm(forms.Form):
    """Phones for the suppression list, written or in a file of text, one a line."""

    phones = forms.CharField(
        label=_("Phones"),
        required=False,
        max_length=100_000,
        help_text=_("One a line."),
        widget=forms.Textarea(attrs={"rows": 3, "placeholder": "+7 999 123-45-67", "spellcheck": "false"}),
    )
    file = forms.FileField(
        label=_("Or a file"), required=False, help_text=_("Text or CSV: one a line, at the beginning of the line.")
    )
    reason = forms.CharField(label=_("Reason"), required=False, max_length=200)

    def clean_file(self) -> Any:
        """Not too large."""
        file = self.cleaned_data["file"]
        if file and file.size > MAX_LIST_BYTES:
            raise ValidationError(_("The file is larger than 2 MB. Split it."))
        return file

    def clean(self) -> dict[str, Any]:
        """One of the two."""
        cleaned = self.cleaned_data
        if not cleaned.get("phones", "").strip() and not cleaned.get("file") and not self.errors:
            self.add_error("phones", _("Write a phone, or choose a file."))
        return cleaned

    def read(self) -> tuple[list[int], list[tuple[int, str, str]]]:
        """The phones, each once, and the lines that hold none: number, beginning, reason."""
        file = self.cleaned_data["file"]
        text = file.read().decode("utf-8-sig", errors="replace") if file else ""
        numbers: dict[int, None] = {}
        rejected = []
        lines = (enumerate(part.splitlines(), start=1) for part in (self.cleaned_data["phones"], text))
        for row, line in chain.from_iterable(lines):
            written = line.strip().partition(";")[0].partition(",")[0].strip("\"' \t")
            if not written:
                continue
            try:
                numbers[phones.normalise(written)] = None
            except ValidationError as error:
                rejected.append((row, written[:40], " ".join(error.messages)))
        return list(numbers), rejected


class ReleaseForm(forms.Form):
    """The word that a phone may be written to again."""

    sure = forms.BooleanField(label=_("This person has agreed to be written to again."))


def _initial(contact: Contact) -> dict[str, Any]:
    return {
        "phone": phones.pretty(contact.phone),
        "first_name": contact.first_name,
        "last_name": contact.last_name,
        "tags": ", ".join(tag.name for tag in contact.tags.all()),
        "timezone": contact.timezone,
        "attributes": attributes.to_lines(contact.attributes),
        "opted_out": contact.opted_out,
    }
