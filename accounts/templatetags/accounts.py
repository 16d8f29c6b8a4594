"""What account pages say of browsers and of sign-up."""

from typing import Final

from django import template
from django.conf import settings
from django.utils.translation import gettext as _

register = template.Library()

# The first that a User-Agent holds is meant: all of Chromium call themselves Safari too, and Edge Chrome.
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
    """`Firefox, Windows`, as far as the header tells."""
    found = [next((name for sign, name in signs if sign in user_agent), None) for signs in (_BROWSERS, _SYSTEMS)]
    return ", ".join(filter(None, found)) or _("Unknown browser")


@register.filter
def way(method: str) -> str:
    """How somebody signs in, in words."""
    words = {
        "password": _("password"),
        "password_reset": _("link in a letter"),
        "totp": _("authenticator app"),
        "recovery_codes": _("recovery code"),
        "webauthn": _("passkey"),
        "socialaccount": settings.OIDC_NAME,
    }
    return words.get(method) or _("link in a letter")


@register.simple_tag
def signup_open() -> bool:
    """Whether anyone may register."""
    return settings.OPEN_SIGNUP
