"""Forms of the campaign pages. They only read what people write; the rules are those of the services."""

from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.utils.timezone import localtime, now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.models import User
from campaigns.models import MAX_TEXT_LENGTH, Campaign, Gateway
from campaigns.services import CHANGEABLE
from campaigns.states import CampaignStatus, Repeat
from directory.audience import Audience
from directory.audience_form import AUDIENCE, AudienceForm, initial_of
from directory.forms import Choice
from project.lists import NEWEST, AddressForm, ListForm

NOW, AT = "now", "at"
# Which fields of the form make up a field of the service.
_SOURCES: Final[dict[str, tuple[str, ...]]] = {
    "name": ("name",),
    "text": ("text",),
    "audience": AUDIENCE,
    "starts_at": ("start", "starts_at"),
    "ends_at": ("ends_at",),
    "local_time": ("local_time",),
    "window": ("window_start", "window_end"),
    "repeat": ("repeat",),
    "rate_limit": ("rate_limit",),
    "gateway": ("gateway",),
}
_LASTS: Final = timedelta(days=2)
_LAST_HOUR: Final = 21


def validate_year(moment: datetime) -> None:
    """Refuse years that no calendar arithmetic survives."""
    if not 2000 <= moment.year <= 2100:
        raise ValidationError(_("The year must lie between 2000 and 2100."))


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


def _gateway_field() -> "forms.ModelChoiceField[Gateway]":
    """Those that administrators have added; none is the one of the settings."""
    return forms.ModelChoiceField(
        label=_("Gateway"),
        queryset=Gateway.objects.exclude(kind=""),
        required=False,
        empty_label=pgettext_lazy("gateway", "The usual one"),
    )


class CampaignForm(AudienceForm):
    """All of a campaign. What its state no longer lets change is disabled."""

    name = forms.CharField(
        label=pgettext_lazy("campaign", "Name"), max_length=200, help_text=_("For you and your colleagues only.")
    )
    text = forms.CharField(
        label=_("Text"), max_length=MAX_TEXT_LENGTH, widget=forms.Textarea(attrs={"rows": 4, "dir": "auto"})
    )
    start = forms.ChoiceField(label=_("Start"), choices=[(NOW, _("Now")), (AT, _("At a time"))], widget=Choice)
    starts_at = forms.DateTimeField(label=_("Starts at"), required=False, widget=Moment, validators=[validate_year])
    ends_at = forms.DateTimeField(
        label=_("Ends at"), widget=Moment, validators=[validate_year], help_text=_("Nothing leaves from then on.")
    )
    local_time = forms.BooleanField(label=_("Start by each contact’s own clock"), required=False)
    window_start = forms.TimeField(label=_("Not before"), required=False, widget=Clock)
    window_end = forms.TimeField(label=_("Not after"), required=False, widget=Clock)
    repeat = forms.ChoiceField(label=_("Repeat"), choices=Repeat.choices, initial=Repeat.ONCE, widget=Choice)
    rate_limit = forms.FloatField(
        label=_("Messages a second"),
        required=False,
        min_value=0.01,
        max_value=100_000,
        help_text=_("At most; else as fast as it goes."),
    )
    gateway = _gateway_field()

    def __init__(self, data: Any = None, *, campaign: Campaign | None = None, picks: Audience | None = None) -> None:
        """`picks`: the audience to begin with, in place of everyone or the campaign's own."""
        picks = picks or (campaign.picks if campaign else Audience())
        super().__init__(data, initial={**(_initial_of(campaign) if campaign else _initial()), **initial_of(picks)})
        self.offer(picks)
        self.fields["rate_limit"].widget.attrs["step"] = "any"
        self.several_gateways = Gateway.objects.exclude(kind="").exists()
        changeable = CHANGEABLE[CampaignStatus(campaign.status)] if campaign else frozenset(_SOURCES)
        self.locked = _SOURCES.keys() - changeable
        for name in self.locked:
            for source in _SOURCES[name]:
                self.fields[source].disabled = True

    def clean_name(self) -> str:
        """Without needless spaces."""
        return " ".join(self.cleaned_data["name"].split())

    def clean_text(self) -> str:
        """Browsers send two characters for a new line, and each would be paid for."""
        return str(self.cleaned_data["text"].replace("\r\n", "\n"))

    def clean(self) -> dict[str, Any]:
        """A start at a time needs that time, a window both its ends."""
        cleaned = super().clean()
        if cleaned.get("start") == AT and not cleaned.get("starts_at") and "starts_at" not in self.errors:
            self.add_error("starts_at", _("Say when, or start now."))
        ends = [name for name in ("window_start", "window_end") if cleaned.get(name) is None]
        if len(ends) == 1 and ends[0] not in self.errors:
            self.add_error(ends[0], _("Give both hours, or none."))
        return cleaned

    def values(self) -> dict[str, Any]:
        """Everything as the services take it; of a form that is not valid, what could be read."""
        cleaned = self.read()
        start, end = cleaned.get("window_start"), cleaned.get("window_end")
        made = {
            "audience": self.audience(),
            "starts_at": cleaned.get("starts_at") if cleaned.get("start") == AT else now().replace(microsecond=0),
            "window": (start, end) if start is not None and end is not None else None,
        }
        return {name: made[name] if name in made else cleaned.get(name) for name in _SOURCES}

    def plan(self, user: User, row: Campaign | None) -> Campaign:
        """The campaign as it would be, unsaved; what could not be read is missing."""
        values = self.values()
        plan = Campaign(
            pk=row.pk if row else None,
            status=row.status if row else CampaignStatus.SCHEDULED,
            timezone=row.timezone if row else user.timezone,
            audience=values["audience"].to_json(),
            text=values["text"] or "",
            **{
                name: values[name]
                for name in ("name", "starts_at", "ends_at", "local_time", "repeat", "rate_limit", "gateway")
            },
        )
        plan.window_start, plan.window_end = values["window"] or (None, None)
        return plan

    def changes(self) -> dict[str, Any]:
        """Of `values`, what the user has changed."""
        values, changed = self.values(), set(self.changed_data)
        return {name: values[name] for name, sources in _SOURCES.items() if changed.intersection(sources)}

    def refuse(self, error: ValidationError) -> None:
        """Show a service's refusal beside the field that it is about."""
        if not hasattr(error, "error_dict"):
            self.add_error(None, error)
            return
        for name, errors in error.error_dict.items():
            field = _SOURCES[name][-1] if name in _SOURCES else name
            self.add_error(field if field in self.fields and name != NON_FIELD_ERRORS else None, errors)


def _initial() -> dict[str, Any]:
    """A campaign that starts now, and ends in two days in the evening."""
    evening = localtime(now() + _LASTS).replace(hour=_LAST_HOUR, minute=0, second=0, microsecond=0)
    return {"start": NOW, "ends_at": evening}


def _initial_of(campaign: Campaign) -> dict[str, Any]:
    """To the minute, as the fields show it, so that looking at a form changes nothing."""
    rate = campaign.rate_limit
    return {
        **{name: getattr(campaign, name) for name in ("name", "text", "local_time", "repeat", "gateway")},
        "rate_limit": int(rate) if rate and rate.is_integer() else rate,
        "start": AT,
        "starts_at": campaign.starts_at.replace(second=0, microsecond=0),
        "ends_at": campaign.ends_at.replace(second=0, microsecond=0),
        "window_start": campaign.window_start,
        "window_end": campaign.window_end,
    }


class SendTestForm(forms.Form):
    """Where a test goes; in the composer also what is written and chosen there at that moment."""

    phone = forms.CharField(
        label=_("Phone"),
        max_length=40,
        widget=forms.TextInput(attrs={"type": "tel", "autocomplete": "tel", "placeholder": "+7 999 123-45-67"}),
    )

    def __init__(self, data: Any = None, *, initial: Any = None, composing: bool = False) -> None:
        super().__init__(data, initial=initial, auto_id="test_%s")
        if composing:
            self.fields["text"] = forms.CharField(
                max_length=MAX_TEXT_LENGTH, error_messages={"required": _("Write the text first.")}
            )
            self.fields["gateway"] = _gateway_field()

    def clean_text(self) -> str:
        """See `CampaignForm.clean_text`."""
        return str(self.cleaned_data["text"].replace("\r\n", "\n"))


class FilterForm(ListForm):
    """Which campaigns the list shows."""

    searched = pgettext_lazy("campaign", "Name")
    orders: ClassVar = {
        "newest": (_("Newest first"), NEWEST),
        "start": (_("Latest start first"), ("-starts_at", "-id")),
        "name": (pgettext_lazy("campaign", "Name"), ("lower_name", "id")),
    }
    status = forms.ChoiceField(
        label=_("State"), required=False, choices=[("", _("Any state")), *CampaignStatus.choices]
    )
    mine = forms.BooleanField(label=_("Mine only"), required=False)


class MessageFilterForm(AddressForm):
    """Which messages of a campaign the page shows."""

    status = forms.CharField(required=False, max_length=20)
    run = forms.IntegerField(required=False, min_value=0, max_value=2**63 - 1)
