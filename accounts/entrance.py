"""The forms of the entrance, in our words. Apart from forms.py, for allauth's own forms import that one."""

from typing import Any, ClassVar, Final

from allauth.account import forms as allauth
from django.utils.translation import gettext_lazy as _

_LABELS: Final = {
    "login": _("E-mail"),
    "email": _("E-mail"),
    "remember": _("Stay signed in"),
    "oldpassword": _("Current password"),
    "password2": _("The password again"),
}
_NEW: Final = {"password1": _("New password")}


class Ours:
    """Allauth's labels differ in style from those of the other pages; and whoever comes here wants to write at once."""

    fields: Any
    labels: ClassVar[dict[str, Any]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        labels = _LABELS | self.labels
        for name in labels.keys() & self.fields.keys():
            self.fields[name].label = labels[name]
        next(iter(self.fields.values())).widget.attrs["autofocus"] = True


class LoginForm(Ours, allauth.LoginForm):  # type: ignore[misc]  # allauth is not typed
    """E-mail and password."""


class SignupForm(Ours, allauth.SignupForm):  # type: ignore[misc]
    """Names, e-mail, and a password twice."""


class ResetPasswordForm(Ours, allauth.ResetPasswordForm):  # type: ignore[misc]
    """Where the link goes that sets another password."""


class ResetPasswordKeyForm(Ours, allauth.ResetPasswordKeyForm):  # type: ignore[misc]
    """Another password, twice."""

    labels: ClassVar = _NEW


class ReauthenticateForm(Ours, allauth.ReauthenticateForm):  # type: ignore[misc]
    """The password before something that matters."""


class ChangePasswordForm(Ours, allauth.ChangePasswordForm):  # type: ignore[misc]
    """The present password, and another twice."""

    labels: ClassVar = _NEW
