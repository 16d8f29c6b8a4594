"""allauth's account adapter with our settings."""

from typing import Any, Final
from urllib.parse import urljoin

import structlog
from allauth.account.adapter import DefaultAccountAdapter
from allauth.core import context as allauth_context
from allauth.core.exceptions import ImmediateHttpResponse
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.metrics import MAILS
from accounts.models import User
from accounts.sign_in.email_change import AddressLink
from project.http.client import client_address

log = structlog.get_logger("vestnik.accounts")

_ACCESS_HASH: Final = "signing_in"
_SENT_TEMPLATE: Final = "account/messages/email_confirmation_sent.txt"


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth is not typed
    """`OPEN_SIGNUP` opens sign-up. Links in e-mails lead to `PUBLIC_URL`, whatever the Host header says."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Whether anyone may sign up."""
        return settings.OPEN_SIGNUP

    def get_client_ip(self, request: HttpRequest) -> str:
        """Return the address that rate limits count by."""
        return client_address(request)

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """Count wrong passwords by account and address, so that a stranger can't lock out the owner."""
        return f"{super()._get_login_attempts_cache_key(request, **credentials)}:{client_address(request)}"

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send an e-mail. If the mail server fails, show a message; the user can request the e-mail again."""
        try:
            super().send_mail(template_prefix, email, {**context, "public_url": settings.PUBLIC_URL.rstrip("/")})
            MAILS.add("account", "sent")
        except OSError as error:  # every exception of smtplib is one
            log.warning("e-mail not sent", template=template_prefix, error=type(error).__name__)
            MAILS.add("account", "failed")
            request = allauth_context.request
            request.email_failed = True
            if not request.path.startswith("/api/"):
                messages.error(request, _("The mail server does not respond, so no e-mail was sent. Try again later."))

    def add_message(
        self, request: HttpRequest, level: int, message_template: str | None = None, *args: Any, **kwargs: Any
    ) -> None:
        """Suppress the message that an e-mail was sent if it was not."""
        if message_template != _SENT_TEMPLATE or not hasattr(request, "email_failed"):
            super().add_message(request, level, message_template, *args, **kwargs)

    def confirm_email(self, request: HttpRequest, email_address: Any) -> bool:
        """Refuse an address that has become another user's login since the e-mail was sent."""
        if User.objects.filter(email=email_address.email).exclude(pk=email_address.user_id).exists():
            context = {"email": email_address.email}
            self.add_message(request, messages.ERROR, "account/messages/email_confirmation_failed.txt", context)
            return False
        confirmed: bool = super().confirm_email(request, email_address)
        return confirmed

    def get_email_confirmation_url(self, request: HttpRequest, emailconfirmation: Any) -> str:
        """Return the link that confirms an address."""
        key = AddressLink(emailconfirmation.email_address).key
        return urljoin(settings.PUBLIC_URL, reverse("account_confirm_email", args=[key]))

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        """Lead to the page that asks whether to keep tokens created under the old password."""
        return reverse("accounts:password_changed")

    def pre_login(self, request: HttpRequest, user: User, **details: Any) -> HttpResponse | None:
        """Remember the access hash, because this sign-in may wait for a second factor."""
        request.session[_ACCESS_HASH] = user.get_session_auth_hash()
        response: HttpResponse | None = super().pre_login(request, user, **details)
        return response

    def login(self, request: HttpRequest, user: User) -> None:
        """Start over if the password changed or access ended while the sign-in waited."""
        if not user.is_active or not user.matches_access_hash(request.session.pop(_ACCESS_HASH, "")):
            raise ImmediateHttpResponse(redirect("account_login"))
        super().login(request, user)

    def get_reset_password_from_key_url(self, key: str) -> str:
        """Return the link that sets a new password. `key` is the user's id and a one-time part, joined by a hyphen."""
        uidb36, _, one_time = key.partition("-")
        return urljoin(settings.PUBLIC_URL, reverse("account_reset_password_from_key", args=[uidb36, one_time]))
