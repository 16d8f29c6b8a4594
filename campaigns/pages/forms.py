"""Forms of the campaign pages. They parse input; the services check the rules."""

from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.models import User
from accounts.optimistic_locking import VersionedForm
from campaigns.fields import COLUMNS, FIELDS, changeable_in, labels_of
from campaigns.gateways.senders import MAX_LENGTH
from campaigns.models import MAX_TEXT_LENGTH, Campaign, Gateway, Price
from campaigns.pages.senders import sender_choices
from campaigns.states import CampaignStatus, Repeat
from campaigns.text import normalise
from directory.audiences.audience import Audience
from directory.audiences.forms import AUDIENCE_FIELDS, AudienceForm, initial_of
from directory.contacts.widgets import Choice
from project.core.clock import now
from project.core.money import amount_field
from project.http.lists import NEWEST, ListForm, QueryForm

NOW, AT = "now", "at"
INPUTS: Final = {field.name: field.inputs or (field.name,) for field in FIELDS} | {"audience": AUDIENCE_FIELDS}
"""The names of the inputs of each field."""
_DEFAULT_DURATION: Final = timedelta(days=2)
_DEFAULT_END_HOUR: Final = 21


def validate_year(moment: datetime) -> None:
    """Refuse years that break calendar arithmetic."""
    if not 2000 <= moment.year <= 2100:
        raise ValidationError(_("The year must be between 2000 and 2100."))


class Moment(forms.DateTimeInput):
    """Date and time to the minute, in the user's zone."""

    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%dT%H:%M")


class Clock(forms.TimeInput):
    """Hours and minutes."""

    input_type = "time"

    def __init__(self) -> None:
        super().__init__(format="%H:%M")


class TextField(forms.CharField):
    """A message's text, normalised before its length is checked: browsers send two characters for a new line."""

    def to_python(self, value: Any) -> str:
        """See `normalise`."""
        return normalise(super().to_python(value) or "")


def _gateway_field() -> "forms.ModelChoiceField[Gateway]":
    """A choice of added gateways; empty means the settings' gateway."""
    return forms.ModelChoiceField(
        label=_("Gateway"),
        queryset=Gateway.objects.exclude(kind=""),
        required=False,
        empty_label=pgettext_lazy("gateway", "Default"),
    )


class CampaignForm(VersionedForm, AudienceForm):
    """All fields of a campaign. Those that its state does not allow to change are disabled."""

    name = forms.CharField(
        label=pgettext_lazy("campaign", "Name"), max_length=200, help_text=_("Only visible to you and your colleagues.")
    )
    text = TextField(
        label=_("Text"), max_length=MAX_TEXT_LENGTH, widget=forms.Textarea(attrs={"rows": 4, "dir": "auto"})
    )
    start = forms.ChoiceField(label=_("Start"), choices=[(NOW, _("Now")), (AT, _("At a set time"))], widget=Choice)
    starts_at = forms.DateTimeField(label=_("Starts at"), required=False, widget=Moment, validators=[validate_year])
    ends_at = forms.DateTimeField(
        label=_("Stop sending at"),
        widget=Moment,
        validators=[validate_year],
        help_text=_("Nothing is sent after this."),
    )
    local_time = forms.BooleanField(label=_("Use each contact’s local time"), required=False)
    window_start = forms.TimeField(label=_("Send only between"), required=False, widget=Clock)
    window_end = forms.TimeField(label=_("and"), required=False, widget=Clock)
    repeat = forms.ChoiceField(label=_("Repeat"), choices=Repeat.choices, initial=Repeat.ONCE, widget=Choice)
    rate_limit = forms.FloatField(
        label=_("Speed limit, messages per second"),
        required=False,
        min_value=0.01,
        max_value=100_000,
        help_text=_("Leave empty for no limit."),
    )
    gateway = _gateway_field()
    sender = forms.TypedChoiceField(
        label=_("Sender name"),
        required=False,
        empty_value=None,
        help_text=_("In countries where the gateway does not allow it, the gateway’s default is used."),
    )
    budget = amount_field(
        _("Budget"), help_text=_("Sending pauses before the campaign would cost more. Leave empty for no limit.")
    )

    def __init__(
        self, data: Any = None, *, campaign: Campaign | None = None, audience_filter: Audience | None = None
    ) -> None:
        """`audience_filter` is the initial audience, instead of everyone or the campaign's own."""
        audience_filter = audience_filter or (campaign.audience_filter if campaign else Audience())
        super().__init__(
            data, initial={**(_initial_of(campaign) if campaign else _initial()), **initial_of(audience_filter)}
        )
        self.edited = campaign
        self.offer(audience_filter)
        self.fields["rate_limit"].widget.attrs["step"] = "any"
        self.several_gateways = Gateway.objects.exclude(kind="").exists()
        choices = sender_choices(campaign.sender if campaign else None)
        self.fields["sender"].choices = choices  # type: ignore[attr-defined]
        self.has_senders = len(choices) > 1
        self.priced = Price.objects.exists() or (campaign is not None and campaign.budget is not None)
        changeable = changeable_in(campaign.status) if campaign else INPUTS.keys()
        self.locked = INPUTS.keys() - changeable
        for name in self.locked:
            for source in INPUTS[name]:
                self.fields[source].disabled = True

    @property
    def changeable(self) -> str:
        """The labels of the fields that can be changed now."""
        return labels_of(INPUTS.keys() - self.locked)

    @property
    def changeable_while_paused(self) -> str:
        """The labels of the locked fields that could be changed if the campaign were paused."""
        return labels_of(self.locked & changeable_in(CampaignStatus.PAUSED))

    def clean_name(self) -> str:
        """Collapse whitespace."""
        return " ".join(self.cleaned_data["name"].split())

    def clean(self) -> dict[str, Any]:
        """Require a start time if one is chosen, and both ends of a window or neither."""
        cleaned = super().clean()
        if cleaned.get("start") == AT and not cleaned.get("starts_at") and "starts_at" not in self.errors:
            self.add_error("starts_at", _("Enter a start time, or choose to start now."))
        ends = [name for name in ("window_start", "window_end") if cleaned.get(name) is None]
        if len(ends) == 1 and ends[0] not in self.errors:
            self.add_error(ends[0], _("Enter both times or neither."))
        return cleaned

    def values(self) -> dict[str, Any]:
        """Return the arguments for the services; of an invalid form, what could be read."""
        cleaned = self.read()
        start, end = cleaned.get("window_start"), cleaned.get("window_end")
        made = {
            "audience": self.audience(),
            "starts_at": cleaned.get("starts_at") if cleaned.get("start") == AT else now().replace(microsecond=0),
            "window": (start, end) if start is not None and end is not None else None,
        }
        return {name: made[name] if name in made else cleaned.get(name) for name in INPUTS}

    def plan(self, user: User, row: Campaign | None) -> Campaign:
        """Return the campaign as it would be, unsaved; invalid values are missing."""
        values = self.values()
        plan = Campaign(
            pk=row.pk if row else None,
            status=row.status if row else CampaignStatus.SCHEDULED,
            timezone=row.timezone if row else user.timezone,
        )
        plan.set_fields({**values, "text": values["text"] or ""})
        return plan

    def changes(self) -> dict[str, Any]:
        """Return the values that the user changed."""
        values, changed = self.values(), set(self.changed_data)
        return {name: values[name] for name, sources in INPUTS.items() if changed.intersection(sources)}

    def refuse(self, error: ValidationError) -> None:
        """Show a service's error at its field."""
        if not hasattr(error, "error_dict"):
            self.add_error(None, error)
            return
        for name, errors in error.error_dict.items():
            field = INPUTS[name][-1] if name in INPUTS else name
            self.add_error(field if field in self.fields and name != NON_FIELD_ERRORS else None, errors)


def _initial() -> dict[str, Any]:
    """The campaign starts now and ends in two days in the evening."""
    evening = localtime(now() + _DEFAULT_DURATION).replace(hour=_DEFAULT_END_HOUR, minute=0, second=0, microsecond=0)
    return {"start": NOW, "ends_at": evening}


def _initial_of(campaign: Campaign) -> dict[str, Any]:
    """Columns as their inputs show them, times to the minute, so that opening a form changes nothing."""
    values = {column: getattr(campaign, column) for column in COLUMNS if column != "audience"}
    return {"start": AT, **{column: _shown(value) for column, value in values.items()}}


def _shown(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.replace(second=0, microsecond=0)
    return int(value) if isinstance(value, float) and value.is_integer() else value


class SendTestForm(forms.Form):
    """The phone for a test; in the composer also its current text, gateway and sender name."""

    phone = forms.CharField(
        label=_("Phone"),
        max_length=40,
        widget=forms.TextInput(attrs={"type": "tel", "autocomplete": "tel", "placeholder": "+7 999 123-45-67"}),
    )

    def __init__(self, data: Any = None, *, initial: Any = None, composing: bool = False) -> None:
        super().__init__(data, initial=initial, auto_id="test_%s")
        if composing:
            self.fields["text"] = TextField(
                max_length=MAX_TEXT_LENGTH, error_messages={"required": _("Enter the text first.")}
            )
            self.fields["gateway"] = _gateway_field()
            self.fields["sender"] = forms.CharField(required=False, empty_value=None, max_length=MAX_LENGTH)


class FilterForm(ListForm):
    """Search, filters and order of the list of campaigns."""

    searched = pgettext_lazy("campaign", "Name")
    orders: ClassVar = {
        "newest": (_("Newest first"), NEWEST),
        "start": (_("Latest start first"), ("-starts_at", "-id")),
        "name": (pgettext_lazy("campaign", "Name"), ("lower_name", "id")),
    }
    status = forms.ChoiceField(
        label=_("Status"), required=False, choices=[("", _("Any status")), *CampaignStatus.choices]
    )
    mine = forms.BooleanField(label=_("Mine only"), required=False)


class MessageFilterForm(QueryForm):
    """Filters of the messages on a campaign's page."""

    status = forms.CharField(required=False, max_length=20)
    run = forms.IntegerField(required=False, min_value=0, max_value=2**63 - 1)
