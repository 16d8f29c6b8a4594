"""The form of a new webhook."""

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.webhooks.models import EventType


class WebhookForm(forms.Form):
    """Where to, and what about; the service checks the address."""

    url = forms.URLField(
        label=_("Address"),
        max_length=2000,
        assume_scheme="https",
        help_text=_("Yours, on the public internet, with https://."),
        widget=forms.URLInput(attrs={"placeholder": "https://example.org/vestnik"}),
    )
    events = forms.MultipleChoiceField(
        label=_("Tell it of"),
        choices=EventType.choices,
        initial=EventType.values,
        widget=forms.CheckboxSelectMultiple,
    )
