"""Forms of the account pages."""

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

from django import forms
from django.db.models import CharField, Q, QuerySet, Value
from django.db.models.functions import Coalesce, Concat, Lower, Trim
from django.http import HttpRequest
from django.utils.timezone import now
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from accounts.models import ApiToken, Scope, User, validate_person_name
from accounts.zones import zone_groups
from project.lists import NEWEST, ListForm, holding

_NEVER: Final = datetime(2000, 1, 1, tzinfo=UTC)


class SignupForm(forms.Form):
    """What sign-up asks besides e-mail and password; allauth mixes it into its own form."""

    first_name = forms.CharField(label=_("First name"), max_length=150, validators=[validate_person_name])
    last_name = forms.CharField(label=_("Last name"), max_length=150, validators=[validate_person_name])
    field_order = ("first_name", "last_name", "email", "password1", "password2")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["first_name"].widget.attrs["autocomplete"] = "given-name"
        self.fields["last_name"].widget.attrs["autocomplete"] = "family-name"

    def signup(self, request: HttpRequest, user: User) -> None:
        """Allauth's hook after the user was created."""
        user.first_name = self.cleaned_data["first_name"]
        user.last_name = self.cleaned_data["last_name"]
        user.language = get_language() or user.language
        user.save()


class UserListForm(ListForm):
    """Which users the administrators' list shows."""

    searched = _("Name or e-mail")
    orders: ClassVar = {
        "newest": (_("Newest first"), NEWEST),
        "name": (_("Name"), ("called", "id")),
        "seen": (_("Last sign-in"), ("-seen", "-id")),
    }
    states: ClassVar[dict[str, tuple[Any, Q]]] = {
        "": (_("Everyone"), Q()),
        "active": (_("Active"), Q(is_active=True)),
        "administrators": (_("Administrators"), Q(is_staff=True)),
        "invited": (_("Invited"), Q(invited_at__isnull=False)),
        "deactivated": (_("Deactivated"), Q(is_active=False, invited_at=None)),
    }
    state = forms.ChoiceField(
        label=_("State"), required=False, choices=[(name, label) for name, (label, _which) in states.items()]
    )

    def found(self) -> "QuerySet[User]":
        """All that are asked for. Who never signed in comes last of those that did."""
        read = self.read()
        names = Trim(Concat("first_name", Value(" "), "last_name", Value(" "), "email", output_field=CharField()))
        rows = User.objects.annotate(called=Lower(names), seen=Coalesce("last_login", Value(_NEVER)))
        _label, state = self.states[read["state"] or ""]
        return rows.filter(state, holding(read["q"] or "", "email", "first_name", "last_name"))


class InviteForm(forms.Form):
    """Whom to invite, and as what."""

    email = forms.EmailField(label=_("E-mail"), max_length=254)
    is_staff = forms.BooleanField(
        label=_("As an administrator"),
        required=False,
        help_text=_("Administrators see and change everything, and everyone's rights."),
    )


class ProfileForm(forms.ModelForm[User]):
    """What users set about themselves."""

    class Meta:
        model = User
        fields = ("first_name", "last_name", "timezone", "language", "daily_report", "weekly_report", "empty_reports")
        help_texts = {
            "timezone": _("Every time on these pages is shown in it, and your daily report comes by it."),
            "weekly_report": _("On Mondays, of the week before."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        present = self.instance.timezone
        self.fields["timezone"].widget = forms.Select(choices=[(present, present), *zone_groups()])


class TokenForm(forms.ModelForm[ApiToken]):
    """What a new API token is called, what it may do, and for how long."""

    days = forms.TypedChoiceField(
        label=_("Valid for"),
        coerce=int,
        initial=365,
        choices=[(30, _("30 days")), (90, _("90 days")), (365, _("a year")), (5 * 365, _("five years"))],
    )
    scopes = forms.MultipleChoiceField(
        label=_("May"),
        initial=Scope.values,
        widget=forms.CheckboxSelectMultiple,
        choices=[
            (Scope.READ, _("read: contacts, campaigns, messages and figures")),
            (Scope.WRITE, _("write: change contacts and campaigns, and your account")),
            (Scope.SEND, _("send: launch campaigns, send tests and single messages")),
        ],
    )
    field_order = ("name", "scopes", "days")

    class Meta:
        model = ApiToken
        fields = ("name",)
        help_texts = {"name": _("What will use it, so that you know later which one to revoke.")}

    def values(self) -> dict[str, Any]:
        """As `token_create` takes it."""
        fields = {**self.cleaned_data}
        lifetime = timedelta(days=fields.pop("days"))
        return {**fields, "expires_at": now() + lifetime}
