"""How a field of any form is drawn, beyond its template."""

from typing import Any

from django.forms import BoundField
from django.forms.renderers import TemplatesSetting
from django.forms.widgets import Widget


class Field(BoundField):
    """The first that is wrong has the focus, so that whoever corrects it is there at once, by keyboard and by ear."""

    def build_widget_attrs(self, attrs: dict[str, Any], widget: Widget | None = None) -> dict[str, Any]:
        """The attributes of its control."""
        attrs = super().build_widget_attrs(attrs, widget)
        wrong = self.form.errors and next((field for field in self.form.visible_fields() if field.errors), None)
        return {**attrs, "autofocus": wrong.name == self.name} if wrong else attrs


class Renderer(TemplatesSetting):
    """templates/django/forms/ draws every form."""

    bound_field_class = Field
