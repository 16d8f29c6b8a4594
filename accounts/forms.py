"""Forms of the account pages."""

from copy import copy
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

from django import forms
from django.db.models import CharField, Q, QuerySet, Value
from django.db.models.functions import Coalesce, Concat, Lower, Trim
from django.http import HttpRequest
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from accounts.models import ApiToken, Scope, User, validate_person_name
from accounts.optimistic_locking import VersionedForm
from accounts.time_zones import zone_groups
from project.core.clock import now
from project.core.money import amount_field
from project.http.lists import NEWEST, ListForm, contains_words

_NEVER: Final = datetime(2000, 1, 1, tzinfo=UTC)


class SignupForm(forms.Form):
    """The fields that sign-up adds to e-mail and password. allauth mixes this class into its own form."""

    first_name = forms.CharField(label=_("First name"), max_length=150, validators=[validate_person_name])
    last_name = forms.CharField(label=_("Last name"), max_length=150, validators=[validate_person_name])
    field_order = ("first_name", "last_name", "email", "password1", "password2")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["first_name"].widget.attrs["autocomplete"] = "given-name"
        self.fields["last_name"].widget.attrs["autocomplete"] = "family-name"

    def signup(self, request: HttpRequest, user: User) -> None:
        """Called by allauth after it created the user."""
        user.first_name = self.cleaned_data["first_name"]
        user.last_name = self.cleaned_data["last_name"]
        user.language = get_language() or user.language
        user.save()


class UserListForm(ListForm):
    """Search, filter and order of the list of users."""

    searched = _("Name or e-mail")
    orders: ClassVar = {
        "newest": (_("Newest first"), NEWEST),
        "name": (_("Name"), ("full_name", "id")),
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
        label=_("Status"), required=False, choices=[(name, label) for name, (label, _condition) in states.items()]
    )

    def found(self) -> "QuerySet[User]":
        """Return the matching users. Users who never signed in come last in the order by sign-in."""
        values = self.read()
        names = Trim(Concat("first_name", Value(" "), "last_name", Value(" "), "email", output_field=CharField()))
        rows = User.objects.annotate(full_name=Lower(names), seen=Coalesce("last_login", Value(_NEVER)))
        _label, state = self.states[values["state"] or ""]
        return rows.filter(state, contains_words(values["q"] or "", "email", "first_name", "last_name"))


class InviteForm(forms.Form):
    """Invite a person by e-mail, as a user or administrator."""

    email = forms.EmailField(label=_("E-mail"), max_length=254)
    is_staff = forms.BooleanField(
        label=_("Administrator"),
        required=False,
        help_text=_("Administrators can view and change everything, including user roles."),
    )


class ProfileForm(VersionedForm, forms.ModelForm[User]):
    """A user's own settings."""

    class Meta:
        model = User
        fields = ("first_name", "last_name", "timezone", "language", "daily_report", "weekly_report", "empty_reports")
        help_texts = {
            "timezone": _("Used for all times shown in Vestnik and for the time of your report e-mails."),
            "weekly_report": _("Sent on Mondays for the previous week."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.edited = copy(self.instance)  # validation writes into the instance
        current = self.instance.timezone
        self.fields["timezone"].widget = forms.Select(choices=[(current, current), *zone_groups()])


class MonthlyBudgetForm(VersionedForm, forms.Form):
    """What a user's campaigns may cost in a month, as administrators set it."""

    monthly_budget = amount_field(
        _("Monthly budget"),
        help_text=_("Campaigns of the user pause before they would cost more in a month. Leave empty for no limit."),
    )

    def __init__(self, data: Any = None, *, user: User) -> None:
        super().__init__(data, initial={"monthly_budget": user.monthly_budget})
        self.edited = user


class TokenForm(forms.ModelForm[ApiToken]):
    """Name, scopes and lifetime of a new API token."""

    days = forms.TypedChoiceField(
        label=_("Expires in"),
        coerce=int,
        initial=365,
        choices=[(30, _("30 days")), (90, _("90 days")), (365, _("1 year")), (5 * 365, _("5 years"))],
    )
    scopes = forms.MultipleChoiceField(
        label=_("Permissions"),
        initial=Scope.values,
        widget=forms.CheckboxSelectMultiple,
        choices=[
            (Scope.READ, _("Read: view contacts, campaigns, messages and reports")),
            (Scope.WRITE, _("Write: edit contacts, campaigns and your account")),
            (Scope.SEND, _("Send: launch campaigns and send test and single messages")),
        ],
    )
    field_order = ("name", "scopes", "days")

    class Meta:
        model = ApiToken
        fields = ("name",)
        help_texts = {"name": _("Say where you will use it, so that you know later which one to revoke.")}

    def values(self) -> dict[str, Any]:
        """Return the arguments of `token_create`."""
        fields = {**self.cleaned_data}
        lifetime = timedelta(days=fields.pop("days"))
        return {**fields, "expires_at": now() + lifetime}
