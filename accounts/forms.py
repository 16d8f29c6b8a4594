"""Forms of the account pages."""

from django import forms
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.models import User, validate_person_name


class SignupForm(forms.Form):
    """What sign-up asks besides e-mail and password; allauth mixes it into its own form."""

    first_name = forms.CharField(label=_("First name"), max_length=150, validators=[validate_person_name])
    last_name = forms.CharField(label=_("Last name"), max_length=150, validators=[validate_person_name])

    def signup(self, request: HttpRequest, user: User) -> None:
        """Allauth's hook after the user was created."""
        user.first_name = self.cleaned_data["first_name"]
        user.last_name = self.cleaned_data["last_name"]
        user.save()
