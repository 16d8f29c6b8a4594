"""Rendering of form fields, beyond their templates."""

from typing import Any

from django.forms import BoundField
from django.forms.renderers import TemplatesSetting
from django.forms.widgets import Widget


class Field(BoundField):
    """Puts the focus on the first invalid field, for keyboard and screen reader users."""

    def build_widget_attrs(self, attrs: dict[str, Any], widget: Widget | None = None) -> dict[str, Any]:
        """Return the attributes of the control."""
        attrs = super().build_widget_attrs(attrs, widget)
        first_invalid = self.form.errors and next((field for field in self.form.visible_fields() if field.errors), None)
        return {**attrs, "autofocus": first_invalid.name == self.name} if first_invalid else attrs


class Renderer(TemplatesSetting):
    """Renders forms with templates/django/forms/."""

    bound_field_class = Field
