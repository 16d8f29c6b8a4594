"""Sessions: the user's time zone and language, the return after sign-in, and when a session was last used."""

import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit, urlunsplit
from zoneinfo import ZoneInfo

import structlog
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.http import urlencode
from django_htmx.http import HttpResponseClientRedirect

from accounts.models import User
from project.http.client import UserRequest

_UPDATE_SECONDS: Final = 300  # seconds


class UserPreferencesMiddleware:
    """Activate the user's time zone and language."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        user = request.user
        if not user.is_authenticated:
            return self.get_response(request)
        structlog.contextvars.bind_contextvars(user=user.pk)
        if settings.LANGUAGE_COOKIE_NAME in request.COOKIES:
            return self._with_chosen_language(request, user)
        return self._with_preferences(request, user)

    def _with_chosen_language(self, request: HttpRequest, user: User) -> HttpResponse:
        """Store the language that was chosen before sign-in as the user's language, once."""
        chosen = request.COOKIES[settings.LANGUAGE_COOKIE_NAME]
        if chosen in dict(settings.LANGUAGES) and chosen != user.language:
            user.language = chosen
            user.save(update_fields=["language"])
        response = self._with_preferences(request, user)
        response.delete_cookie(settings.LANGUAGE_COOKIE_NAME)
        return response

    def _with_preferences(self, request: HttpRequest, user: User) -> HttpResponse:
        with timezone.override(ZoneInfo(user.timezone)), translation.override(user.language):
            request.LANGUAGE_CODE = user.language
            return self.get_response(request)


class SessionEndMiddleware:
    """Return users who sign in again after their session ended to the page where they were.

    A URL that only accepts POST shows nothing, so a POST returns to the page with the button. htmx would put the
    sign-in page into part of a page, so the whole page is redirected.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: UserRequest) -> HttpResponse:
        response = self.get_response(request)
        login_url = f"{reverse(settings.LOGIN_URL)}?"
        if not response.get("Location", "").startswith(login_url):
            return response
        if request.htmx:
            return HttpResponseClientRedirect(login_url + _next_query(request.htmx.current_url_abs_path))
        if request.method == "POST":
            page = urlsplit(request.headers.get("Referer", ""))
            is_own_page = page.netloc == request.get_host()
            response.headers["Location"] = login_url + _next_query(
                urlunsplit(("", "", *page[2:])) if is_own_page else None
            )
        return response


def _next_query(page: str | None) -> str:
    return urlencode({REDIRECT_FIELD_NAME: page or "/"})


class SessionSeenMiddleware:
    """Record the address and time at which a session was last used, at most every five minutes, unlike allauth."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated and time.time() - request.session.get("seen", 0) > _UPDATE_SECONDS:
            request.session["seen"] = int(time.time())
            UserSession.objects.create_from_request(request)
        return self.get_response(request)
