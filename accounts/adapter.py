"""How allauth meets our settings."""

from typing import Any, Final
from urllib.parse import urljoin

import structlog
from allauth.account.adapter import DefaultAccountAdapter
from allauth.core import context as allauth_context
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.models import User
from project.http import client_address

log = structlog.get_logger("vestnik.accounts")

_SENT: Final = "account/messages/email_confirmation_sent.txt"


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth is not typed
    """Sign-up is open or closed by `OPEN_SIGNUP`; links in letters lead to `PUBLIC_URL`, whatever host was asked."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Whether anyone may register."""
        return settings.OPEN_SIGNUP

    def get_client_ip(self, request: HttpRequest) -> str:
        """Whose sign-ins are counted together."""
        return client_address(request)

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """A mail server that fails spoils nothing else: the reader is told, and can ask for the letter again."""
        try:
            super().send_mail(template_prefix, email, {**context, "public_url": settings.PUBLIC_URL.rstrip("/")})
        except OSError as error:  # whatever smtplib raises is one
            log.warning("letter not sent", letter=template_prefix, error=type(error).__name__)
            request = allauth_context.request
            request.letter_unsent = True
            if not request.path.startswith("/api/"):
                messages.error(request, _("The mail server does not answer: no letter was sent. Try again later."))

    def add_message(
        self, request: HttpRequest, level: int, message_template: str | None = None, *args: Any, **kwargs: Any
    ) -> None:
        """Nothing says that a letter is on its way after the reader was told that it is not."""
        if message_template != _SENT or not hasattr(request, "letter_unsent"):
            super().add_message(request, level, message_template, *args, **kwargs)

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
