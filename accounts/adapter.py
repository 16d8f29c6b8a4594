"""How allauth meets our settings."""

from typing import Any
from urllib.parse import urljoin
from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth is not typed
    """Sign-up is open or closed by `OPEN_SIGNUP`; links in letters lead to `PUBLIC_URL`, whatever host was asked."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Whether anyone may register."""
        return settings.OPEN_SIGNUP

    def get_email_confirmation_url(self, request: HttpRequest, emailconfirmation: Any) -> str:
        """The link that confirms an address."""
        return urljoin(settings.PUBLIC_URL, reverse("account_confirm_email", args=[emailconfirmation.key]))

    def get_reset_password_from_key_url(self, key: str) -> str:
        """The link that sets a new password; `key` joins the user's and the one-time part by a hyphen."""
        uidb36, _, one_time = key.partition("-")
        return urljoin(settings.PUBLIC_URL, reverse("account_reset_password_from_key", args=[uidb36, one_time]))
