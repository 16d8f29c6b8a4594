"""How allauth meets our settings."""

from typing import Any
from urllib.parse import urljoin

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest
from django.urls import reverse

from accounts.models import User
from project.http import client_address


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth is not typed
    """Sign-up is open or closed by `OPEN_SIGNUP`; links in letters lead to `PUBLIC_URL`, whatever host was asked."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Whether anyone may register."""
        return settings.OPEN_SIGNUP

    def get_client_ip(self, request: HttpRequest) -> str:
        """Whose sign-ins are counted together."""
        return client_address(request)

    def confirm_email(self, request: HttpRequest, email_address: Any) -> bool:
        """Refuse an address that has become another user's login since the letter was sent."""
        if User.objects.filter(email=email_address.email).exclude(pk=email_address.user_id).exists():
            context = {"email": email_address.email}
            self.add_message(request, messages.ERROR, "account/messages/email_confirmation_failed.txt", context)
            return False
        confirmed: bool = super().confirm_email(request, email_address)
        return confirmed

    def get_email_confirmation_url(self, request: HttpRequest, emailconfirmation: Any) -> str:
        """The link that confirms an address."""
        return urljoin(settings.PUBLIC_URL, reverse("account_confirm_email", args=[emailconfirmation.key]))

    def get_reset_password_from_key_url(self, key: str) -> str:
        """The link that sets a new password; `key` joins the user's and the one-time part by a hyphen."""
        uidb36, _, one_time = key.partition("-")
        return urljoin(settings.PUBLIC_URL, reverse("account_reset_password_from_key", args=[uidb36, one_time]))
