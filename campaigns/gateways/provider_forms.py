"""The form of a gateway with a description: a preset, or one that an administrator wrote."""

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final
from urllib.parse import urlsplit

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from campaigns.gateways import registry
from campaigns.gateways.addresses import is_forbidden
from campaigns.gateways.definitions.presets import definition_from, preset_texts, starting_point
from campaigns.gateways.definitions.schema import MAX_LENGTH, Definition, EntryField, InvalidDefinition
from campaigns.gateways.drivers import ADDABLE, DRIVERS
from campaigns.gateways.forms import KEPT, ConnectionForm, GatewayForm, RouteForm
from campaigns.models import Gateway
from project.core.sealed_secrets import Locked

OPTION: Final = "option_"
"""What the names of the fields begin with that the description asks for."""
DESCRIBED: Final = "http"
"""The kind of the gateways with a description; as a provider: one that is not among the presets."""


class ProviderForm(ConnectionForm):
    """The fields that the description asks for, and those of all gateways.

    `option_NAME` are the fields of the description. Secret ones are never shown; left empty, they do not change.
    """

    class Meta(RouteForm.Meta):
        fields = ["name", "definition", "url", "concurrency", "rate", "carries", "senders", "active", "fallback"]
        labels = {**RouteForm.Meta.labels, "definition": _("Description"), "active": _("In use")}

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["definition"].max_length = MAX_LENGTH  # type: ignore[attr-defined]
        if self.instance.preset:
            del self.fields["definition"]
        else:
            self.fields["definition"].required = True
            self.fields["definition"].widget.attrs |= {"rows": 24, "class": "code", "spellcheck": "false"}
        self.stored = self._stored_secrets() if self.known else {}
        self.asked: Mapping[str, EntryField] = self.definition.fields if self.definition else {}
        for name, field in self.asked.items():
            self.fields[OPTION + name] = self._form_field(name, field)
        usual = self.definition.url if self.definition else ""
        self.fields["url"].required = self.definition is not None and not usual
        self.fields["url"].widget.attrs["placeholder"] = usual
        self.order_fields(["name", "definition", "url", *(OPTION + name for name in self.asked)])

    @property
    def secret_entered(self) -> bool:
        """Whether a new secret was entered."""
        return any(self.cleaned_data[OPTION + name] for name, field in self.asked.items() if field.secret)

    @cached_property
    def _reading(self) -> tuple[Definition | None, str]:
        """The description, or why it can't be used."""
        preset = self.instance.preset
        text = preset_texts().get(preset) if preset else self["definition"].value()
        if not text:
            return None, gettext("There is no preset of this name.") if preset else ""
        try:
            return definition_from(str(text)), ""
        except InvalidDefinition as error:
            return None, str(error)

    @property
    def definition(self) -> Definition | None:
        """The description; None if there is none that can be used."""
        return self._reading[0]

    @property
    def problem(self) -> str:
        """Why the description can't be used, a line for each reason."""
        return self._reading[1]

    @property
    def offers_senders(self) -> bool:
        """Whether messages take a sender name, as far as that is known."""
        return self.definition is None or self.definition.sender != "unsupported"

    def takes_senders(self) -> bool:
        """See `offers_senders`."""
        return self.offers_senders

    def clean_definition(self) -> str:
        """Refuse a description that can’t be used, with the places of all problems."""
        if self.problem:
            raise ValidationError(self.problem.splitlines())
        return str(self.cleaned_data["definition"]).replace("\r\n", "\n")

    def clean(self) -> dict[str, Any]:
        """Ask for the fields of the description if the sender of the form could not know them yet."""
        cleaned = super().clean()
        if self.problem and self.instance.preset:
            self.add_error(None, self.problem)
        unseen = [OPTION + name for name in self.asked if OPTION + name not in self.data]
        if any(name in self.errors for name in unseen):
            for name in unseen:
                self.errors.pop(name, None)
            labels = ", ".join(str(self.fields[name].label) for name in unseen)
            self.add_error(None, gettext("Fill in what this provider asks for: %(fields)s.") % {"fields": labels})
        if self.definition and self.definition.sender == "required" and "senders" in cleaned and not cleaned["senders"]:
            self.add_error("senders", gettext("This provider needs a sender name with each message. Enter one."))
        return cleaned

    def clean_url(self) -> str:
        """Check the address that is used: without one, the provider's usual one."""
        url = super().clean_url()
        if not url and self.definition and is_forbidden(urlsplit(self.definition.url).hostname or ""):
            raise ValidationError(gettext("The address in the description is link-local, which is forbidden."))
        return url

    def save(self, commit: bool = True) -> Gateway:
        """Save; empty secrets do not change the stored ones."""
        values = {name: self.cleaned_data[OPTION + name] for name in self.asked}
        self.instance.options = {name: values[name] for name, field in self.asked.items() if not field.secret}
        entered = {name: values[name] for name, field in self.asked.items() if field.secret and values[name]}
        if entered:
            self.instance.secret = json.dumps({**self.stored, **entered})
        return super().save(commit)

    def _stored_secrets(self) -> dict[str, str]:
        try:
            return registry.secrets_of(self.instance)
        except Locked:
            return {}

    def _form_field(self, name: str, field: EntryField) -> forms.CharField:
        stored = name in self.stored
        # htmx keeps the element, so that a secret stays when the description changes.
        attributes = {"autocomplete": "new-password", "hx-preserve": "true"} if field.secret else {}
        return forms.CharField(
            label=gettext(field.label),
            help_text=self._help(field, typed=bool(self.data.get(OPTION + name)), stored=stored),
            required=field.required and not stored,
            max_length=2000,
            initial=None if field.secret else self.instance.options.get(name, field.default),
            widget=(forms.PasswordInput if field.secret else forms.TextInput)(attrs=attributes),
        )

    def _help(self, field: EntryField, *, typed: bool, stored: bool) -> str:
        if field.secret and typed:
            return gettext("Enter it again: what you typed is not kept on pages.")
        if stored:
            return str(KEPT)
        return gettext(field.help) if field.help else ""


def described_form(row: Gateway, data: Mapping[str, Any]) -> ProviderForm:
    """Return the form of a gateway with the description in `data`, without errors in fields that may still be empty."""
    row.definition = str(data.get("definition", ""))
    form = ProviderForm(None, instance=row)
    form.initial.update({OPTION + name: data.get(OPTION + name, field.default) for name, field in form.asked.items()})
    return form


def new_gateway(provider: str) -> Gateway | None:
    """Return an empty gateway of a preset, a kind, or `http` for another provider; None if there is none."""
    if provider in preset_texts():
        return Gateway(kind=DESCRIBED, preset=provider)
    definition = starting_point() if provider == DESCRIBED else ""
    return Gateway(kind=provider, definition=definition) if provider in {DESCRIBED, *ADDABLE} else None


def form_of(row: Gateway, data: Mapping[str, Any] | None) -> RouteForm:
    """Return the form of a gateway, new or known: of the settings' gateway only its route can be edited."""
    if row.name == settings.GATEWAY:
        return RouteForm(data, instance=row)
    described = row.kind in DRIVERS and DRIVERS[row.kind].described
    return (ProviderForm if described else GatewayForm)(data, instance=row)
