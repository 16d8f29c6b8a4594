"""Forms of gateways. Of the settings' gateway only its route can be edited: what it takes, and its fallback."""

from copy import copy
from typing import Any, Final
from urllib.parse import urlsplit

from django import forms
from django.core.validators import RegexValidator, URLValidator
from django.forms.models import construct_instance
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.optimistic_locking import VersionedForm
from campaigns.gateways import registry
from campaigns.gateways.addresses import is_forbidden
from campaigns.gateways.drivers import ADDABLE, DRIVERS
from campaigns.gateways.senders import lines_of, read
from campaigns.models import Gateway

TAKEN: Final = "taken"
"""The code of the error for a name that is in use."""
KEPT: Final = _("Stored encrypted and never shown. Leave empty to keep the current one.")
_RESERVED: Final = {*DRIVERS, "new", "presets"}


class RouteForm(VersionedForm, forms.ModelForm[Gateway]):
    """The numbers that a gateway takes, and its fallback."""

    senders = forms.CharField(
        label=_("Sender names"),
        required=False,
        max_length=200_000,
        widget=forms.Textarea(attrs={"rows": 4, "placeholder": "Vestnik: RU, KZ\n+12025550123: US\n12345"}),
        help_text=_(
            "One per line, with the codes of the countries where it is allowed; without codes it is allowed in all. "
            "The first one for a country is the default there."
        ),
    )

    class Meta:
        model = Gateway
        fields = ["carries", "senders", "fallback"]
        labels = {"carries": _("Countries and prefixes"), "fallback": _("Fallback gateway")}
        help_texts = {
            "carries": _(
                "The numbers that this gateway takes: country codes such as KZ, or first digits such as 7727, "
                "separated by commas. Leave empty to take all numbers."
            ),
            "fallback": _(
                "Used while this gateway does not respond. Messages that this gateway may already have accepted "
                "are not sent through the fallback, so nobody gets a message twice."
            ),
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if not self.instance._state.adding:
            self.edited = copy(self.instance)  # validation writes into the instance
        self.fields["fallback"].queryset = Gateway.objects.known().exclude(pk=self.instance.pk)  # type: ignore[attr-defined]
        self.fields["fallback"].empty_label = _("None (messages wait)")  # type: ignore[attr-defined]
        self.fields["carries"].widget.attrs["placeholder"] = "RU, KZ"
        self.initial["senders"] = lines_of(self.instance.senders)
        if not (self.offers_senders or self.data.get("senders")):
            del self.fields["senders"]

    @property
    def offers_senders(self) -> bool:
        """Whether the form asks for sender names."""
        return registry.has_senders(self.instance)

    def takes_senders(self) -> bool:
        """Whether the gateway in the form takes sender names."""
        return registry.has_senders(construct_instance(self, copy(self.instance)))

    @property
    def secret_entered(self) -> bool:
        """Whether a new secret was entered."""
        return False

    @property
    def has_url(self) -> bool:
        """Whether it describes the connection."""
        return "url" in self.fields

    def clean_carries(self) -> str:
        """Return the areas as they are stored: sorted, and separated by commas."""
        return ",".join(registry.read_areas(self.cleaned_data["carries"]))

    def clean_senders(self) -> list[dict[str, Any]]:
        """Return the sender names as they are stored."""
        return [sender.to_json() for sender in read(self.cleaned_data["senders"])]

    def clean(self) -> dict[str, Any]:
        """Require that fallbacks take all numbers of their gateways, and that only gateways with senders have any."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned.get("senders") and not self.takes_senders():
            self.add_error("senders", _("A gateway of this type takes no sender names. Leave the field empty."))
        if "carries" in cleaned and "fallback" in cleaned:
            name = self.instance.pk or cleaned.get("name", "")
            registry.check_fallbacks(name, cleaned["carries"], cleaned["fallback"])
        return cleaned


class ConnectionForm(RouteForm):
    """What all gateways have that administrators add."""

    name = forms.CharField(
        label=_("Name"),
        max_length=40,
        validators=[RegexValidator(r"^[a-z0-9][a-z0-9-]*\Z", _("Use lowercase letters a-z, digits and hyphens."))],
        help_text=_("Part of the address for delivery receipts. It can’t be changed later."),
    )
    url = forms.CharField(
        label=_("Address"),
        max_length=500,
        validators=[URLValidator(schemes=["http", "https"])],
        widget=forms.URLInput(attrs={"placeholder": "https://gateway.example.org/v1"}),
    )
    concurrency = forms.IntegerField(label=_("Concurrent requests"), required=False, min_value=1, max_value=5000)
    rate = forms.FloatField(
        label=_("Speed limit, messages per second"), required=False, min_value=0.01, max_value=100_000
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["rate"].widget.attrs["step"] = "any"
        self.known = not self.instance._state.adding
        if self.known:
            self.fields["name"].disabled = True

    def clean_url(self) -> str:
        """Refuse addresses where clouds serve secrets."""
        url = str(self.cleaned_data["url"])
        if is_forbidden(urlsplit(url).hostname or ""):
            raise forms.ValidationError(
                _("This is a link-local address, which the setting GATEWAY_ALLOW_LINK_LOCAL forbids.")
            )
        return url

    def clean_name(self) -> str:
        """Refuse names that are taken, or that the settings or addresses of pages may use."""
        name = str(self.cleaned_data["name"])
        if not self.known and (name in _RESERVED or Gateway.objects.filter(pk=name).exists()):
            raise forms.ValidationError(_("This name is already in use."), code=TAKEN)
        return name


class GatewayForm(ConnectionForm):
    """A gateway whose protocol is built in. The secret is never shown; left empty, it does not change."""

    secret = forms.CharField(
        label=_("Token or password"),
        required=False,
        max_length=500,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    field_order = (
        *("name", "kind", "url", "username", "secret"),
        *("concurrency", "rate", "carries", "senders", "active", "fallback"),
    )

    class Meta(RouteForm.Meta):
        # Without the secret: a form reads the fields that it shows, and a locked secret can only be replaced.
        fields = ["name", "kind", "url", "username", "concurrency", "rate", "carries", "senders", "active", "fallback"]
        labels = {**RouteForm.Meta.labels, "username": _("User"), "kind": _("Type"), "active": _("In use")}

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["kind"] = forms.ChoiceField(
            label=_("Type"), choices=[(kind, gettext(driver.label)) for kind, driver in ADDABLE.items()]
        )
        named = [gettext(driver.label) for driver in ADDABLE.values() if driver.needs_username]
        self.fields["username"].help_text = gettext("Only for %(kinds)s.") % {"kinds": ", ".join(named)}
        if self.known:
            self.fields["secret"].help_text = KEPT

    @property
    def secret_entered(self) -> bool:
        """Whether a new secret was entered."""
        return bool(self.cleaned_data["secret"])

    def save(self, commit: bool = True) -> Gateway:
        """Save; an empty secret does not change the stored one."""
        if self.secret_entered:
            self.instance.secret = self.cleaned_data["secret"]
        return super().save(commit)
