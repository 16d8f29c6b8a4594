"""What a session means for every page: the user's time zone and language, and its end."""

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

from project.http import Signed

_SEEN_EVERY: Final = 300  # seconds


class UserPreferencesMiddleware:
    """Show every time in the user's zone and every word in the user's language."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        user = request.user
        if not user.is_authenticated:
            return self.get_response(request)
        structlog.contextvars.bind_contextvars(user=user.pk)
        with timezone.override(ZoneInfo(user.timezone)), translation.override(user.language):
            request.LANGUAGE_CODE = user.language
            return self.get_response(request)


class SessionEndMiddleware:
    """Lead whoever signs in again, after the session has ended, back to the page where they were.

    A button's own address shows nothing. And where a part of a page was asked for, htmx would follow the redirect and
    put the sign-in page there, so the whole page goes.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: Signed) -> HttpResponse:
        response = self.get_response(request)
        entrance = f"{reverse(settings.LOGIN_URL)}?"
        if not response.get("Location", "").startswith(entrance):
            return response
        if request.htmx:
            return HttpResponseClientRedirect(entrance + _back_to(request.htmx.current_url_abs_path))
        if request.method == "POST":
            page = urlsplit(request.headers.get("Referer", ""))
            ours = page.netloc == request.get_host()
            response.headers["Location"] = entrance + _back_to(urlunsplit(("", "", *page[2:])) if ours else None)
        return response


def _back_to(page: str | None) -> str:
    return urlencode({REDIRECT_FIELD_NAME: page or "/"})


class SessionSeenMiddleware:
    """Keep from where and when a session was last used, to five minutes: allauth would write it at each request."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated and time.time() - request.session.get("seen", 0) > _SEEN_EVERY:
            request.session["seen"] = int(time.time())
            UserSession.objects.create_from_request(request)
        return self.get_response(request)
