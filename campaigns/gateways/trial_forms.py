"""Forms to try a gateway."""

from typing import Any, Final
from urllib.parse import parse_qsl

from django import forms
from django.utils.translation import gettext_lazy as _

from campaigns.gateways.protocol import MAX_ANSWER_BYTES
from campaigns.models import MAX_TEXT_LENGTH

ANSWER: Final = "answer"
_MAX_QUERY: Final = 8000


class GatewayTestForm(forms.Form):
    """One message to a phone. `senders`: whether the gateway takes sender names."""

    phone = forms.CharField(
        label=_("Phone"),
        max_length=40,
        widget=forms.TextInput(attrs={"type": "tel", "autocomplete": "tel", "placeholder": "+7 999 123-45-67"}),
    )
    text = forms.CharField(
        label=_("Text"),
        required=False,
        max_length=MAX_TEXT_LENGTH,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("Without a text, “Test of the gateway” and its name are sent."),
    )
    sender = forms.CharField(label=_("Sender name"), required=False, max_length=100)

    def __init__(self, data: Any = None, *, initial: Any = None, senders: bool = True) -> None:
        super().__init__(data, initial=initial, auto_id="test_%s")
        if not senders:
            del self.fields["sender"]


class SampleForm(forms.Form):
    """A sample of what the gateway sends."""

    kind = forms.ChoiceField(
        label=_("What is it?"),
        choices=[(ANSWER, _("An answer to a message")), ("callback", _("A receipt or an incoming message"))],
    )
    status = forms.IntegerField(
        label=_("HTTP status"), required=False, min_value=100, max_value=599, initial=200, help_text=_("Of an answer.")
    )
    query = forms.CharField(
        label=_("Parameters of the address"),
        required=False,
        max_length=_MAX_QUERY,
        help_text=_("Of a receipt or incoming message, if it has some: id=17&status=delivered."),
        widget=forms.TextInput(attrs={"spellcheck": "false"}),
    )
    body = forms.CharField(
        label=_("Body"),
        required=False,
        strip=False,
        max_length=MAX_ANSWER_BYTES,
        widget=forms.Textarea(attrs={"rows": 5, "class": "mono", "spellcheck": "false"}),
    )

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, auto_id="sample_%s")

    def clean_query(self) -> dict[str, str]:
        """Return the parameters, of a whole address or without one."""
        text = str(self.cleaned_data["query"])
        return dict(parse_qsl(text.partition("?")[2] or text, keep_blank_values=True))
