"""Forms of the contact pages. They only read what people write; the rules are those of the services."""

from functools import cache
from typing import Any, Final, cast

from django import forms
from django.utils.choices import CallableChoiceIterator
from django.utils.translation import gettext_lazy as _

from accounts.zones import zone_groups
from directory import attributes, phones
from directory.models import Contact, Tag

_STATES: Final[dict[str, dict[str, bool]]] = {
    "": {"is_active": True},
    "opted_out": {"is_active": True, "opted_out": True},
    "deactivated": {"is_active": False},
    "all": {},
}


def _tag_options() -> list[tuple[str, Any]]:
    return [("", _("Any tag")), *Tag.objects.values_list("name", "name")]


def _operator_options() -> list[tuple[str, Any]]:
    codes = Contact.objects.order_by("operator_code").values_list("operator_code", flat=True).distinct()
    return [("", _("Any operator")), *((code, code) for code in codes)]


def _zone_options() -> list[tuple[str, Any]]:
    names = Contact.objects.order_by("timezone").values_list("timezone", flat=True).distinct()
    return [("", _("Any time zone")), *((name, name) for name in names)]


_OPTIONS: Final = {"tag": _tag_options, "operator_code": _operator_options, "timezone": _zone_options}


class FilterForm(forms.Form):
    """What narrows the list; it lives in the page's address. The options are read only where the form is drawn."""

    q = forms.CharField(
        label=_("Search"),
        max_length=100,
        required=False,
        widget=forms.TextInput(attrs={"type": "search", "placeholder": _("Name or phone"), "autocomplete": "off"}),
    )
    tag = forms.CharField(label=_("Tag"), required=False, widget=forms.Select)
    operator_code = forms.CharField(label=_("Operator code"), required=False, widget=forms.Select)
    timezone = forms.CharField(label=_("Time zone"), required=False, widget=forms.Select)
    state = forms.ChoiceField(
        label=_("State"),
        required=False,
        choices=[
            ("", _("Active")),
            ("opted_out", _("Opted out")),
            ("deactivated", _("Deactivated")),
            ("all", _("All")),
        ],
    )
    cursor = forms.IntegerField(required=False, min_value=0, max_value=2**63 - 1, widget=forms.HiddenInput)

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        for name, options in _OPTIONS.items():
            cast("forms.Select", self.fields[name].widget).choices = CallableChoiceIterator(cache(options))

    def filters(self) -> dict[str, Any]:
        """For `ContactQuerySet.narrow`; what can't be read does not narrow."""
        self.is_valid()
        given = {name: self.cleaned_data.get(name) for name in ("q", "tag", "operator_code", "timezone")}
        return given | _STATES[self.cleaned_data.get("state", "")]


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
        first = (contact.timezone, contact.timezone) if contact else ("", _("As the phone tells"))
        self.fields["timezone"].widget = forms.Select(choices=[first, *zone_groups()])

    def clean_tags(self) -> list[str]:
        """Between the commas."""
        return [tag for tag in self.cleaned_data["tags"].split(",") if tag.strip()]

    def clean_attributes(self) -> dict[str, Any]:
        """Line by line."""
        return attributes.parse_lines(self.cleaned_data["attributes"], self.known)


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
