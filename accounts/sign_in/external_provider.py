"""Sign-in through an external provider (OpenID Connect Core 1.0), configured by `OIDC_URL` and related settings."""

from typing import Any

import structlog
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialApp
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView, OAuth2LoginView, OAuth2View
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from requests import RequestException

from accounts.models import User
from accounts.sign_in import invitations
from accounts.sign_in.oidc import OidcAdapter, OidcProvider


class ExternalAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]  # allauth is not typed
    """Matches the provider's accounts with users, and decides who may sign up."""

    def get_provider(self, request: HttpRequest, provider: str, client_id: str | None = None) -> Any:
        """Return allauth's provider, or ours for OpenID Connect."""
        provider_of_app = super().get_provider(request, provider, client_id)
        return (
            OidcProvider(request, app=provider_of_app.app) if provider_of_app.id == OidcProvider.id else provider_of_app
        )

    def pre_social_login(self, request: HttpRequest, sociallogin: Any) -> None:
        """Accept a pending invitation. The provider has verified the address, like the link in the e-mail does."""
        for address in _verified_addresses(sociallogin):
            invited = User.objects.invited().filter(email=address).first()
            if invited and not sociallogin.is_existing:
                names = sociallogin.user
                with transaction.atomic():
                    invitations.accept(user=invited, first_name=names.first_name, last_name=names.last_name)
                    sociallogin.connect(request, invited)

    def authenticate_by_email(self, sociallogin: Any) -> tuple[User, str] | None:
        """Return the user whose login is that address, if both sides have confirmed it.

        Otherwise an attacker could sign up with somebody's address, or request a change to it, and wait for its owner.
        """
        for address in _verified_addresses(sociallogin):
            confirmed = {"emailaddress__email": address, "emailaddress__verified": True}
            user = User.objects.filter(email=address, **confirmed).first()
            if user:
                return user, address
        return None

    def save_user(self, request: HttpRequest, sociallogin: Any, form: Any = None) -> User:
        """Create the account completely or not at all."""
        with transaction.atomic():
            user: User = super().save_user(request, sociallogin, form)
        return user

    def is_auto_signup_allowed(self, request: HttpRequest, sociallogin: Any) -> bool:
        """Skip the form only if the names would pass it."""
        user = sociallogin.user
        try:
            user.full_clean(exclude=["password"])
        except ValidationError:
            return False
        return bool(user.first_name and user.last_name and super().is_auto_signup_allowed(request, sociallogin))


def login(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Send the browser to the provider."""
    return _run_view(OAuth2LoginView, request, provider_id)


def callback(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Receive the browser from the provider."""
    return _run_view(OAuth2CallbackView, request, provider_id)


def _run_view(view: type[OAuth2View], request: HttpRequest, provider_id: str) -> HttpResponse:
    """Run allauth's view with our adapter; show errors of the provider on a page."""
    try:
        response: HttpResponse = view.adapter_view(OidcAdapter(request, provider_id))(request)
    except SocialApp.DoesNotExist as error:
        raise Http404 from error
    except (RequestException, OAuth2Error) as error:
        structlog.get_logger().warning("oidc_provider_unreachable", error=type(error).__name__)
        return redirect("socialaccount_login_error")
    return response


def _verified_addresses(sociallogin: Any) -> list[str]:
    """Return the addresses that the provider has verified."""
    return [row.email.lower() for row in sociallogin.email_addresses if row.verified]
