"""Template tags of account pages: browsers, sign-in methods, and whether sign-up is open."""

from typing import Final

from django import template
from django.conf import settings
from django.utils.translation import gettext as _

register = template.Library()

# The first match counts: all Chromium browsers also call themselves Safari, and Edge also calls itself Chrome.
_BROWSERS: Final = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("YaBrowser", "Yandex Browser"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox", "Firefox"),
    ("FxiOS", "Firefox"),
    ("Chrome", "Chrome"),
    ("CriOS", "Chrome"),
    ("Safari", "Safari"),
)
_SYSTEMS: Final = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


@register.filter
def browser(user_agent: str) -> str:
    """Return browser and system, such as `Firefox, Windows`, as far as the header names them."""
    found = [
        next((name for marker, name in markers if marker in user_agent), None) for markers in (_BROWSERS, _SYSTEMS)
    ]
    return ", ".join(filter(None, found)) or _("Unknown browser")


@register.filter
def sign_in_method(method: str) -> str:
    """Return the name of a sign-in method."""
    words = {
        "password": _("password"),
        "password_reset": _("e-mail link"),
        "totp": _("authenticator app"),
        "recovery_codes": _("recovery code"),
        "webauthn": _("passkey"),
        "socialaccount": settings.OIDC_NAME,
    }
    return words.get(method) or _("e-mail link")


@register.simple_tag
def signup_open() -> bool:
    """Whether anyone may sign up."""
    return settings.OPEN_SIGNUP
