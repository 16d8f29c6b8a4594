"""The form fields of an audience, for saved audiences and campaigns."""

from collections.abc import Iterable
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.optimistic_locking import VersionedForm
from accounts.time_zones import zone_options
from directory.audiences.audience import (
    CONTAINS,
    EQUALS,
    EXISTS,
    MAX_CONDITIONS,
    MAX_DAYS,
    NEVER,
    NOT_WITHIN,
    WITHIN,
    Audience,
)
from directory.contacts.attributes import validate_attributes
from directory.contacts.listing import distinct_values, known_attributes
from directory.contacts.widgets import MOST_CHIPS, Chips, Choice
from directory.countries import country_options
from directory.models import SavedAudience, Tag

_ROWS: Final = range(1, MAX_CONDITIONS + 1)
_MATCHES: Final = [
    (EQUALS, pgettext_lazy("attribute", "is")),
    (CONTAINS, pgettext_lazy("attribute", "contains")),
    (EXISTS, pgettext_lazy("attribute", "has any value")),
]
_SAME_IN_JSON: Final = ("operator_codes", "tags", "tags_match", "tags_none", "timezones", "countries")
AUDIENCE_FIELDS: Final = (
    *_SAME_IN_JSON,
    "last_contacted",
    "last_contacted_days",
    *(f"attribute_{row}{part}" for row in _ROWS for part in ("", "_match", "_value")),
)


# Pages that were opened before an upgrade, and unsaved input, have the names of former releases.
_INPUT_NAMES: Final = {"last_contacted": "written", "last_contacted_days": "written_days"}


class AudienceForm(forms.Form):
    """The filters of an audience. Call `offer` before rendering."""

    tags = forms.MultipleChoiceField(label=_("Tags"), required=False, widget=Chips("all-tags"))
    tags_match = forms.ChoiceField(
        label=_("Match selected tags"),
        required=False,  # not on the page while there are no tags
        choices=[("any", _("Any")), ("all", _("All"))],
        initial="any",
        widget=Choice,
    )
    tags_none = forms.MultipleChoiceField(label=_("Exclude tags"), required=False, widget=Chips("all-tags", first=0))
    operator_codes = forms.MultipleChoiceField(label=_("Operator codes"), required=False, widget=Chips)
    timezones = forms.MultipleChoiceField(label=_("Time zones"), required=False, widget=Chips)
    countries = forms.MultipleChoiceField(label=_("Countries"), required=False, widget=Chips)
    last_contacted = forms.ChoiceField(
        label=_("Last contacted"),
        required=False,
        choices=[
            ("", _("At any time")),
            (NEVER, _("Never")),
            (WITHIN, _("In the last N days")),
            (NOT_WITHIN, _("Not in the last N days")),
        ],
    )
    last_contacted_days = forms.IntegerField(
        label=_("Days (N)"), required=False, min_value=1, max_value=MAX_DAYS, widget=forms.NumberInput()
    )

    def __init__(self, data: Any = None, *, initial: Any = None) -> None:
        super().__init__(data, initial=initial)
        for row in _ROWS:
            self.fields[f"attribute_{row}"] = forms.CharField(
                label=_("Attribute"),
                max_length=50,
                required=False,
                widget=forms.TextInput(
                    attrs={"list": "attribute-names", "data-suggest": "attribute-names", "autocomplete": "off"}
                ),
            )
            self.fields[f"attribute_{row}_match"] = forms.ChoiceField(
                label=_("Condition"), choices=_MATCHES, required=False
            )
            self.fields[f"attribute_{row}_value"] = forms.CharField(label=_("Value"), max_length=100, required=False)

    def add_prefix(self, field_name: str) -> str:
        """Return the name of a field's input."""
        return super().add_prefix(_INPUT_NAMES.get(field_name, field_name))

    def offer(self, audience_filter: Audience) -> None:
        """Set the choices: the values in the directory, plus selected ones that may no longer exist."""
        names = list(Tag.objects.values_list("name", flat=True))
        self._set_choices("tags", names, audience_filter.tags)
        self._set_choices("tags_none", names, audience_filter.tags_none)
        self._set_choices("operator_codes", distinct_values("operator_code"), audience_filter.operator_codes)
        zones = {*distinct_values("timezone"), *audience_filter.timezones}
        self.fields["timezones"].choices = zone_options(zones)  # type: ignore[attr-defined]
        countries = {*distinct_values("country"), *audience_filter.countries}
        self.fields["countries"].choices = country_options(countries)  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """Require days where they are needed, and valid attribute names."""
        cleaned = self.cleaned_data
        if (
            cleaned.get("last_contacted") in (WITHIN, NOT_WITHIN)
            and not cleaned.get("last_contacted_days")
            and "last_contacted_days" not in self.errors
        ):
            self.add_error("last_contacted_days", _("Enter the number of days."))
        for row in _ROWS:
            self._check_condition(row)
        return cleaned

    def clean_tags_match(self) -> str:
        """Any of the tags, unless all are wanted."""
        return self.cleaned_data["tags_match"] or "any"

    def audience(self) -> Audience:
        """Return the audience, as far as the input is valid."""
        read = self.read()
        days = read.get("last_contacted_days") or 0
        when = read.get("last_contacted")
        return Audience.from_json(
            {
                **{name: read.get(name) for name in _SAME_IN_JSON},
                "attributes": [
                    {
                        "name": read[f"attribute_{row}"],
                        "match": read.get(f"attribute_{row}_match") or EQUALS,
                        "value": read.get(f"attribute_{row}_value"),
                    }
                    for row in _ROWS
                    if read.get(f"attribute_{row}")
                ],
                "written": {"when": when, "days": days} if when == NEVER or (when and days) else None,
            }
        )

    def read(self) -> dict[str, Any]:
        """Return the values of the form, bound or not."""
        return dict(self.cleaned_data if self.is_bound else self.initial)

    @cached_property
    def attribute_names(self) -> list[str]:
        """Attribute names to suggest."""
        return known_attributes()

    @property
    def tag_names(self) -> list[str]:
        """All tags to choose from, if they are too many for checkboxes; otherwise empty."""
        names = {name for field in ("tags", "tags_none") for name, _label in self.fields[field].choices}  # type: ignore[attr-defined]
        return sorted(names) if len(names) > MOST_CHIPS else []

    @property
    def conditions(self) -> list[list[forms.BoundField]]:
        """The fields of each attribute condition."""
        return [[self[f"attribute_{row}{part}"] for part in ("", "_match", "_value")] for row in _ROWS]

    @property
    def offers_countries(self) -> bool:
        """Whether there is a choice of countries: contacts of several, or a selected one."""
        return len(self.fields["countries"].choices) > 1 or bool(self["countries"].value())  # type: ignore[attr-defined]

    @property
    def has_more(self) -> bool:
        """Whether any of the further conditions is used."""
        audience_filter = self.audience()
        return bool(
            audience_filter.operator_codes
            or audience_filter.tags_none
            or audience_filter.attributes
            or audience_filter.last_contacted
        )

    def _check_condition(self, row: int) -> None:
        name, value = self.cleaned_data.get(f"attribute_{row}"), self.cleaned_data.get(f"attribute_{row}_value")
        if not name and value:
            self.add_error(f"attribute_{row}", _("Enter an attribute name."))
        if name:
            try:
                validate_attributes({name: value or ""})
            except ValidationError as error:
                self.add_error(f"attribute_{row}", error)

    def _set_choices(self, field: str, existing: Iterable[str], selected: Iterable[str]) -> None:
        names = sorted({*existing, *selected})
        self.fields[field].choices = [(each, each) for each in names]  # type: ignore[attr-defined]


def initial_of(audience_filter: Audience) -> dict[str, Any]:
    """Return the form's initial values for an audience."""
    initial: dict[str, Any] = {
        "operator_codes": list(audience_filter.operator_codes),
        "tags": list(audience_filter.tags),
        "tags_match": audience_filter.tags_match,
        "tags_none": list(audience_filter.tags_none),
        "timezones": list(audience_filter.timezones),
        "countries": list(audience_filter.countries),
    }
    if audience_filter.last_contacted:
        initial |= {
            "last_contacted": audience_filter.last_contacted.when,
            "last_contacted_days": audience_filter.last_contacted.days or None,
        }
    for row, condition in zip(_ROWS, audience_filter.attributes, strict=False):
        initial |= {
            f"attribute_{row}": condition.name,
            f"attribute_{row}_match": condition.match,
            f"attribute_{row}_value": condition.value,
        }
    return initial


class SavedAudienceForm(VersionedForm, AudienceForm):
    """An audience with a name."""

    name = forms.CharField(label=pgettext_lazy("audience", "Name"), max_length=100)

    def __init__(self, data: Any = None, *, saved: SavedAudience | None = None) -> None:
        audience_filter = saved.audience_filter if saved else Audience()
        super().__init__(data, initial={**initial_of(audience_filter), "name": saved.name if saved else ""})
        self.edited = saved
        self.offer(audience_filter)
