"""How allauth meets our settings."""

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.http import HttpRequest


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth is not typed
    """Sign-up is open or closed by `OPEN_SIGNUP`."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Whether anyone may register."""
        return settings.OPEN_SIGNUP
