"""HTTP headers that neither Django nor django-csp sets; the settings configure those."""

from collections.abc import Callable
from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse

_DENIED: Final = (
    "accelerometer", "autoplay", "browsing-topics", "camera", "display-capture", "encrypted-media",
    "fullscreen", "geolocation", "gyroscope", "hid", "magnetometer", "microphone", "midi", "payment",
    "picture-in-picture", "screen-wake-lock", "serial", "usb", "xr-spatial-tracking",
)  # fmt: skip
_ALLOWED: Final = ("clipboard-write", "publickey-credentials-create", "publickey-credentials-get")
PERMISSIONS: Final = ", ".join([*(f"{name}=()" for name in _DENIED), *(f"{name}=(self)" for name in _ALLOWED)])
"""Browser features that our pages may use: copying and passkeys."""


class HeadersMiddleware:
    """Deny features that pages do not need, embedding by other sites, and caching.

    Responses that set `Cache-Control` themselves, such as static files, keep it.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not request.path.startswith(
            settings.STATIC_URL
        ):  # it is about documents, and longer than some of our scripts
            response.headers["Permissions-Policy"] = PERMISSIONS
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("Cache-Control", "no-store")
        return response
