"""The forms of the webhook pages."""

from typing import ClassVar

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.webhooks.models import DeliveryStatus, EventType
from project.lists import NEWEST, ListForm


class DeliveryListForm(ListForm):
    """Which deliveries of a webhook the page shows."""

    searched = _("Part of its id")
    orders: ClassVar = {"newest": (_("Newest first"), NEWEST)}
    status = forms.ChoiceField(
        label=_("State"), required=False, choices=[("", _("Any state")), *DeliveryStatus.choices]
    )


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
