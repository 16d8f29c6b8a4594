"""Widgets of forms: dates, and choices that look like chips."""

from typing import Any, Final

from django import forms

MOST_CHIPS: Final = 24


class DateInput(forms.DateInput):
    """A date as browsers pick it."""

    input_type = "date"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%d")


class Chips(forms.CheckboxSelectMultiple):
    """Checkboxes that look like chips.

    `names` is the id of a list of all options in the page. With many options only the first `first` and the selected
    ones are rendered as checkboxes, and a script adds the others. `first` is 0 if the field is collapsed.
    """

    template_name = "directory/chips.html"
    option_template_name = "directory/chip.html"

    def __init__(self, names: str = "", first: int = MOST_CHIPS) -> None:
        super().__init__()
        self.names, self.first = names, first

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        """See the class."""
        context = super().get_context(name, value, attrs)
        widget = context["widget"]
        widget["many"] = len(widget["optgroups"]) > MOST_CHIPS
        if widget["many"] and self.names:
            widget["names"] = self.names
            groups = enumerate(widget["optgroups"])
            widget["optgroups"] = [group for place, group in groups if place < self.first or group[1][0]["selected"]]
        return context

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        """Return the ticked values, and names typed with commas where scripts are off."""
        values = super().value_from_datadict(data, files, name)
        if not (values and self.names):
            return values
        known = {value for value, _label in self.choices}
        parts = [part.strip() for value in values for part in ([value] if value in known else value.split(","))]
        return list(dict.fromkeys(part for part in parts if part))


class Choice(forms.RadioSelect):
    """Radio buttons that look like chips."""

    template_name = "directory/chips.html"
    option_template_name = "directory/chip.html"


class ToneChoice(Choice):
    """Radio buttons that look like chips, each in its colour."""

    option_template_name = "directory/tone.html"
