"""What a session means for every page: the user's time zone and language, and its end."""

from collections.abc import Callable
from zoneinfo import ZoneInfo

import structlog
from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.http import urlencode
from django_htmx.http import HttpResponseClientRedirect

from project.http import Signed


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
    """Take the whole page to sign-in when a part of it is asked for after the session has ended.

    Without it htmx would follow the redirect and put the sign-in page where the part was.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: Signed) -> HttpResponse:
        response = self.get_response(request)
        entrance = reverse(settings.LOGIN_URL)
        if not request.htmx or not response.get("Location", "").startswith(entrance):
            return response
        back = {REDIRECT_FIELD_NAME: request.htmx.current_url_abs_path or "/"}
        return HttpResponseClientRedirect(f"{entrance}?{urlencode(back)}")
