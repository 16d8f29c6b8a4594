"""Sign-in and sign-up forms with our labels. A module of its own, because allauth's forms import accounts/forms.py."""

from typing import Any, ClassVar, Final

from allauth.account import forms as allauth
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.sign_in import revocation

_LABELS: Final = {
    "login": _("E-mail"),
    "email": _("E-mail"),
    "remember": _("Stay signed in"),
    "oldpassword": _("Current password"),
    "password2": _("Confirm password"),
}
_NEW_PASSWORD: Final = {"password1": _("New password")}


class LabelsMixin:
    """Mixin: labels in the style of the other pages, and focus on the first field."""

    fields: Any
    labels: ClassVar[dict[str, Any]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        labels = _LABELS | self.labels
        for name in labels.keys() & self.fields.keys():
            self.fields[name].label = labels[name]
        next(iter(self.fields.values())).widget.attrs["autofocus"] = True


class LoginForm(LabelsMixin, allauth.LoginForm):  # type: ignore[misc]  # allauth is not typed
    """E-mail and password."""


class SignupForm(LabelsMixin, allauth.SignupForm):  # type: ignore[misc]
    """Names, e-mail, and a password twice."""

    def save(self, request: HttpRequest) -> User:
        """Create the account completely or not at all."""
        with transaction.atomic():
            user: User = super().save(request)
        return user


class ResetPasswordForm(LabelsMixin, allauth.ResetPasswordForm):  # type: ignore[misc]
    """Request a link that sets another password."""

    users: list[User]

    def clean_email(self) -> str:
        """Like allauth, but match only the login: an address that a user only requested may belong to anyone."""
        email = str(super().clean_email())
        self.users = [user for user in self.users if user.email == email.lower()]
        return email


class ResetPasswordKeyForm(LabelsMixin, allauth.ResetPasswordKeyForm):  # type: ignore[misc]
    """A new password, twice."""

    labels: ClassVar = _NEW_PASSWORD

    def save(self) -> None:
        """Set the password, and end access granted under the old one."""
        with transaction.atomic():
            super().save()
            revocation.end_access_after_reset(self.user)


class ReauthenticateForm(LabelsMixin, allauth.ReauthenticateForm):  # type: ignore[misc]
    """The password, before a sensitive action."""


class ChangePasswordForm(LabelsMixin, allauth.ChangePasswordForm):  # type: ignore[misc]
    """The present password, and a new one twice."""

    labels: ClassVar = _NEW_PASSWORD
