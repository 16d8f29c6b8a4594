"""The form that closes an account. A module of its own, because allauth's forms import accounts/forms.py."""

from typing import Any

from allauth.account.forms import ReauthenticateForm


class DeactivateForm(ReauthenticateForm):  # type: ignore[misc]  # allauth is not typed
    """Asks for the password, with the rate limit of sign-in. Users without a password are not asked."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.user.has_usable_password():
            del self.fields["password"]
