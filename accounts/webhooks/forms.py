"""The forms of the webhook pages."""

from typing import ClassVar

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.webhooks.models import DeliveryStatus, EventType
from project.http.lists import NEWEST, ListForm


class DeliveryListForm(ListForm):
    """Search and filter of the delivery log."""

    searched = _("Part of the event ID")
    orders: ClassVar = {"newest": (_("Newest first"), NEWEST)}
    status = forms.ChoiceField(
        label=_("Status"), required=False, choices=[("", _("Any status")), *DeliveryStatus.choices]
    )


class WebhookForm(forms.Form):
    """Address and events. The service checks the address."""

    url = forms.URLField(
        label=_("Address"),
        max_length=2000,
        assume_scheme="https",
        help_text=_("A public https:// address of your server."),
        widget=forms.URLInput(attrs={"placeholder": "https://example.org/vestnik"}),
    )
    events = forms.MultipleChoiceField(
        label=_("Events to send"),
        choices=EventType.choices,
        initial=EventType.values,
        widget=forms.CheckboxSelectMultiple,
    )
