"""Sentences for the reasons of failed attempts."""

from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

_REASONS: Final = {
    "dns": gettext_lazy("The host name can’t be resolved."),
    "private": gettext_lazy("The host name points to a private network."),
    "https": gettext_lazy("Only https:// addresses are allowed."),
    "address": gettext_lazy("Requests can’t be sent to this address."),
    "timeout": gettext_lazy("The server did not respond in time."),
    "tls": gettext_lazy("The certificate is not valid."),
    "connection": gettext_lazy("Could not connect."),
}


def reason_words(reason: str) -> str:
    """Return a sentence for the reason of a failed attempt."""
    if reason.startswith("http_"):
        return _("The server responded with status %(status)s.") % {"status": reason.removeprefix("http_")}
    return str(_REASONS[reason]) if reason else ""
