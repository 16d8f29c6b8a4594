"""What is asked before an account is closed. Apart from forms.py, for allauth's own forms import that one."""

from typing import Any

from allauth.account.forms import ReauthenticateForm


class DeactivateForm(ReauthenticateForm):  # type: ignore[misc]  # allauth is not typed
    """The password once more, counted as at sign-in; who has none is not asked."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.user.has_usable_password():
            del self.fields["password"]
