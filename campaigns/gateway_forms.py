"""The form of a gateway that the settings do not describe, and what may be said of the one that they do."""

from typing import Any

from django import forms
from django.core.validators import RegexValidator, URLValidator
from django.utils.translation import gettext_lazy as _

from campaigns.models import Gateway, Kind


class FallbackForm(forms.ModelForm[Gateway]):
    """Who sends while it is stopped."""

    class Meta:
        model = Gateway
        fields = ["fallback"]
        labels = {"fallback": _("While it is stopped, send by")}
        help_texts = {
            "fallback": _("Never what it may have accepted already, so that nobody gets a message twice."),
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["fallback"].queryset = Gateway.objects.known().exclude(pk=self.instance.pk)  # type: ignore[attr-defined]
        self.fields["fallback"].empty_label = _("None: its messages wait")  # type: ignore[attr-defined]


class GatewayForm(FallbackForm):
    """All of it. The secret is never shown: left empty, it stays."""

    name = forms.CharField(
        label=_("Name"),
        max_length=40,
        validators=[RegexValidator(r"^[a-z0-9][a-z0-9-]*\Z", _("Small letters a-z, digits and hyphens."))],
        help_text=_("Stands in the address that its receipts come to, and stays."),
    )
    url = forms.CharField(
        label=_("Address"),
        max_length=500,
        validators=[URLValidator(schemes=["http", "https"])],
        widget=forms.URLInput(attrs={"placeholder": "https://gateway.example.org/v1"}),
    )
    secret = forms.CharField(
        label=_("Token or password"),
        required=False,
        max_length=500,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    concurrency = forms.IntegerField(label=_("Requests at a time"), required=False, min_value=1, max_value=5000)
    rate = forms.FloatField(label=_("Messages a second"), required=False, min_value=0.01, max_value=100_000)

    field_order = ("name", "kind", "url", "username", "secret", "concurrency", "rate", "active", "fallback")

    class Meta(FallbackForm.Meta):
        # Not the secret: a form reads what it shows, and one that is locked can't be read, only replaced.
        fields = ["name", "kind", "url", "username", "concurrency", "rate", "active", "fallback"]
        labels = {**FallbackForm.Meta.labels, "username": _("User"), "kind": _("Kind"), "active": _("In use")}
        help_texts = {**FallbackForm.Meta.help_texts, "username": _("For Kannel only.")}

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["kind"] = forms.ChoiceField(label=_("Kind"), choices=Kind.choices)
        self.fields["rate"].widget.attrs["step"] = "any"
        self.known = not self.instance._state.adding
        if self.known:
            self.fields["name"].disabled = True
            self.fields["secret"].help_text = _("Encrypted and never shown. Leave it empty to keep it.")

    def clean_name(self) -> str:
        """Neither taken nor one that the settings may choose."""
        name = str(self.cleaned_data["name"])
        if not self.known and (name in (*Kind.values, "console") or Gateway.objects.filter(pk=name).exists()):
            raise forms.ValidationError(_("This name is taken."))
        return name

    def save(self, commit: bool = True) -> Gateway:
        """An empty secret is no change."""
        if self.cleaned_data["secret"]:
            self.instance.secret = self.cleaned_data["secret"]
        return super().save(commit)
