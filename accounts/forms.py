"""Forms of the account pages."""

from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.models import ApiToken, User, validate_person_name
from accounts.zones import zone_groups


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
        user.save()


class ProfileForm(forms.ModelForm[User]):
    """What users set about themselves."""

    class Meta:
        model = User
        fields = ("first_name", "last_name", "timezone", "language", "daily_report")
        help_texts = {
            "timezone": _("Every time on these pages is shown in it, and your daily report comes by it."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        present = self.instance.timezone
        self.fields["timezone"].widget = forms.Select(choices=[(present, present), *zone_groups()])


class TokenForm(forms.ModelForm[ApiToken]):
    """What a new API token is called."""

    class Meta:
        model = ApiToken
        fields = ("name",)
        help_texts = {"name": _("What will use it, so that you know later which one to revoke.")}
