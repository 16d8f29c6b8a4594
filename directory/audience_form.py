"""The fields of an audience, for saved ones and for a campaign's own."""

from collections.abc import Iterable
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.zones import zone_options
from directory.attributes import validate_attributes
from directory.audience import CONTAINS, EQUALS, EXISTS, MAX_CONDITIONS, MAX_DAYS, NEVER, NOT_WITHIN, WITHIN, Audience
from directory.forms import Chips, Choice
from directory.listing import known_attributes, present
from directory.models import SavedAudience, Tag

_ROWS: Final = range(1, MAX_CONDITIONS + 1)
_MATCHES: Final = [
    (EQUALS, pgettext_lazy("attribute", "is")),
    (CONTAINS, pgettext_lazy("attribute", "contains")),
    (EXISTS, pgettext_lazy("attribute", "is known")),
]
AUDIENCE: Final = (
    "operator_codes",
    "tags",
    "tags_match",
    "tags_none",
    "timezones",
    "written",
    "written_days",
    *(f"attribute_{row}{part}" for row in _ROWS for part in ("", "_match", "_value")),
)


class AudienceForm(forms.Form):
    """Whom an audience picks. `offer` must be called before it is drawn."""

    tags = forms.MultipleChoiceField(label=_("Tags"), required=False, widget=Chips)
    tags_match = forms.ChoiceField(
        label=_("When several tags are picked"),
        choices=[("any", _("one is enough")), ("all", _("all are needed"))],
        initial="any",
        widget=Choice,
    )
    tags_none = forms.MultipleChoiceField(label=_("None of these tags"), required=False, widget=Chips)
    operator_codes = forms.MultipleChoiceField(label=_("Operator codes"), required=False, widget=Chips)
    timezones = forms.MultipleChoiceField(label=_("Time zones"), required=False, widget=Chips)
    written = forms.ChoiceField(
        label=_("Last written to"),
        required=False,
        choices=[
            ("", _("At any time")),
            (NEVER, _("Never")),
            (WITHIN, _("Within so many days")),
            (NOT_WITHIN, _("Not within so many days")),
        ],
    )
    written_days = forms.IntegerField(
        label=_("Days"), required=False, min_value=1, max_value=MAX_DAYS, widget=forms.NumberInput()
    )

    def __init__(self, data: Any = None, *, initial: Any = None) -> None:
        super().__init__(data, initial=initial)
        for row in _ROWS:
            self.fields[f"attribute_{row}"] = forms.CharField(
                label=_("Attribute"),
                max_length=50,
                required=False,
                widget=forms.TextInput(attrs={"list": "attribute-names", "autocomplete": "off"}),
            )
            self.fields[f"attribute_{row}_match"] = forms.ChoiceField(
                label=_("Condition"), choices=_MATCHES, required=False
            )
            self.fields[f"attribute_{row}_value"] = forms.CharField(label=_("Value"), max_length=100, required=False)

    def offer(self, picks: Audience) -> None:
        """What exists in the directory, and what is picked already though it may be gone."""
        names = list(Tag.objects.values_list("name", flat=True))
        self._choices("tags", names, picks.tags)
        self._choices("tags_none", names, picks.tags_none)
        self._choices("operator_codes", present("operator_code"), picks.operator_codes)
        zones = {*present("timezone"), *picks.timezones}
        self.fields["timezones"].choices = zone_options(zones)  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """Days where they are asked for; names of attributes that can be some."""
        cleaned = self.cleaned_data
        if (
            cleaned.get("written") in (WITHIN, NOT_WITHIN)
            and not cleaned.get("written_days")
            and "written_days" not in self.errors
        ):
            self.add_error("written_days", _("Say how many days."))
        for row in _ROWS:
            self._check_row(row)
        return cleaned

    def audience(self) -> Audience:
        """What is picked, as far as it can be read."""
        read = self.read()
        days = read.get("written_days") or 0
        when = read.get("written")
        return Audience.from_json(
            {
                **{name: read.get(name) for name in ("operator_codes", "tags", "tags_match", "tags_none", "timezones")},
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
        """What is in the form, bound or not."""
        return dict(self.cleaned_data if self.is_bound else self.initial)

    @cached_property
    def attribute_names(self) -> list[str]:
        """Names to suggest for attributes."""
        return known_attributes()

    @property
    def conditions(self) -> list[list[forms.BoundField]]:
        """The rows of conditions on attributes."""
        return [[self[f"attribute_{row}{part}"] for part in ("", "_match", "_value")] for row in _ROWS]

    @property
    def has_more(self) -> bool:
        """Whether anything is picked that stands among the further conditions."""
        picks = self.audience()
        return bool(picks.operator_codes or picks.tags_none or picks.attributes or picks.written)

    def _check_row(self, row: int) -> None:
        name, value = self.cleaned_data.get(f"attribute_{row}"), self.cleaned_data.get(f"attribute_{row}_value")
        if not name and value:
            self.add_error(f"attribute_{row}", _("Say which attribute."))
        if name:
            try:
                validate_attributes({name: value or ""})
            except ValidationError as error:
                self.add_error(f"attribute_{row}", error)

    def _choices(self, field: str, there: Iterable[str], picked: Iterable[str]) -> None:
        names = sorted({*there, *picked})
        self.fields[field].choices = [(each, each) for each in names]  # type: ignore[attr-defined]


def initial_of(picks: Audience) -> dict[str, Any]:
    """An audience as the form has it."""
    initial: dict[str, Any] = {
        "operator_codes": list(picks.operator_codes),
        "tags": list(picks.tags),
        "tags_match": picks.tags_match,
        "tags_none": list(picks.tags_none),
        "timezones": list(picks.timezones),
    }
    if picks.written:
        initial |= {"written": picks.written.when, "written_days": picks.written.days or None}
    for row, condition in zip(_ROWS, picks.attributes, strict=False):
        initial |= {
            f"attribute_{row}": condition.name,
            f"attribute_{row}_match": condition.match,
            f"attribute_{row}_value": condition.value,
        }
    return initial


class SavedAudienceForm(AudienceForm):
    """An audience with a name."""

    name = forms.CharField(label=pgettext_lazy("audience", "Name"), max_length=100)

    def __init__(self, data: Any = None, *, saved: SavedAudience | None = None) -> None:
        picks = saved.picks if saved else Audience()
        super().__init__(data, initial={**initial_of(picks), "name": saved.name if saved else ""})
        self.offer(picks)

    def clean_name(self) -> str:
        """Without needless spaces."""
        return " ".join(self.cleaned_data["name"].split())
