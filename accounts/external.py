"""Sign-in by an external provider (OpenID Connect Core 1.0), set by `OIDC_URL` and its fellows."""

from typing import Any

import structlog
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.providers.openid_connect import views
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from requests import RequestException

from accounts import invitations
from accounts.models import User


class ExternalAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]  # allauth is not typed
    """Whose account it is, and who may make one."""

    def pre_social_login(self, request: HttpRequest, sociallogin: Any) -> None:
        """Take who was invited for invited: the provider vouches for the address as the link in the letter does."""
        for address in _vouched(sociallogin):
            invited = User.objects.invited().filter(email=address).first()
            if invited and not sociallogin.is_existing:
                told = sociallogin.user
                invitations.accept(user=invited, first_name=told.first_name, last_name=told.last_name)
                sociallogin.connect(request, invited)

    def authenticate_by_email(self, sociallogin: Any) -> tuple[User, str] | None:
        """The user whose login is that address, confirmed by both sides.

        Else whoever signs up with somebody's address, or asks for a change to it, could wait for its owner to come.
        """
        for address in _vouched(sociallogin):
            confirmed = {"emailaddress__email": address, "emailaddress__verified": True}
            user = User.objects.filter(email=address, **confirmed).first()
            if user:
                return user, address
        return None

    def is_auto_signup_allowed(self, request: HttpRequest, sociallogin: Any) -> bool:
        """Only with names that would pass the form; else the form asks for them."""
        user = sociallogin.user
        try:
            user.full_clean(exclude=["password"])
        except ValidationError:
            return False
        return bool(user.first_name and user.last_name and super().is_auto_signup_allowed(request, sociallogin))


def login(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Allauth's view, but for a provider that gives no answer: that is told on a page."""
    try:
        answer: HttpResponse = views.login(request, provider_id)
    except RequestException as error:
        structlog.get_logger().warning("oidc_provider_unreachable", error=type(error).__name__)
        return redirect("socialaccount_login_error")
    return answer


def _vouched(sociallogin: Any) -> list[str]:
    """The addresses that the provider has verified."""
    return [row.email.lower() for row in sociallogin.email_addresses if row.verified]
