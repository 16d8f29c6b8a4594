"""Why an attempt failed, in words."""

from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

_REASONS: Final = {
    "dns": gettext_lazy("The name can’t be resolved."),
    "private": gettext_lazy("The name leads into a private network."),
    "https": gettext_lazy("Only https:// addresses are allowed."),
    "address": gettext_lazy("Not an address that can be posted to."),
    "timeout": gettext_lazy("No answer in time."),
    "tls": gettext_lazy("The certificate is not good."),
    "connection": gettext_lazy("No connection."),
}


def reason_words(reason: str) -> str:
    """A sentence for the reason of a delivery."""
    if reason.startswith("http_"):
        return _("The receiver answered %(status)s.") % {"status": reason.removeprefix("http_")}
    return str(_REASONS[reason]) if reason else ""
