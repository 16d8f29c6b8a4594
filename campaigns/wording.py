"""The texts of reason codes (why a message or a request failed) and of areas."""

from collections.abc import Iterable
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from campaigns.gateways.areas import is_prefix
from campaigns.gateways.drivers import DRIVERS
from campaigns.gateways.protocol import TransportFailure
from campaigns.states import MARKED, NOT_RECIPIENT, QUARANTINED, RESENT
from directory.countries import country_name

_REASONS: Final[dict[str, Promise]] = {
    TransportFailure.NO_FILES: gettext_lazy("Vestnik has too many files open"),
    TransportFailure.UNREACHABLE: gettext_lazy("Could not connect to the gateway"),
    TransportFailure.UNRESOLVED: gettext_lazy("The gateway’s host name can’t be resolved"),
    TransportFailure.TLS: gettext_lazy("Could not establish a secure connection to the gateway"),
    TransportFailure.TOO_LATE: gettext_lazy("There was no time left to send it"),
    TransportFailure.TIMEOUT: gettext_lazy("The gateway did not respond in time"),
    TransportFailure.RESET: gettext_lazy("The connection was lost"),
    TransportFailure.OVERSIZED: gettext_lazy("The response was too long"),
    "redirect": gettext_lazy("The gateway responded with a redirect, which is not allowed"),
    NOT_RECIPIENT: gettext_lazy("The contact is no longer in the audience"),
    "unknown_zone": gettext_lazy("The contact’s time zone is not valid"),
    "empty_text": gettext_lazy("The message text is empty"),
    "no_gateway": gettext_lazy("No gateway takes this phone number"),
    "too_many_parts": gettext_lazy("The text has more parts than the gateway accepts"),
    QUARANTINED: gettext_lazy("Stopped after three attempts without a result; this message may crash the worker"),
    RESENT: gettext_lazy("Resent as a new message"),
    MARKED: gettext_lazy("Marked manually"),
    "worker_died": gettext_lazy("The worker stopped while sending"),
    "http_401": gettext_lazy("The gateway rejected the credentials (401)"),
    "http_403": gettext_lazy("The gateway rejected the credentials (403)"),
    "http_408": gettext_lazy("The gateway timed out waiting for the request (408)"),
    "http_413": gettext_lazy("The message is too long for the gateway (413)"),
    "http_425": gettext_lazy("The gateway says it is too early (425)"),
    "http_429": gettext_lazy("The gateway received too many messages (429)"),
    "http_503": gettext_lazy("The gateway is overloaded (503)"),
}


def reason_words(code: str) -> str:
    """Return the text of a reason code (`timeout`, `http_400`); an empty string for an empty code."""
    if code in _REASONS:
        return str(_REASONS[code])
    for driver in DRIVERS.values():
        if code in driver.reasons:
            return _(driver.reasons[code])
    if code.startswith("error_"):
        return _("Rejected by the provider (error %(code)s)") % {"code": code.removeprefix("error_")}
    status = code.removeprefix("http_")
    if status.startswith("4"):
        return _("Rejected by the gateway (%(status)s)") % {"status": status}
    if status.startswith("5"):
        return _("Internal error of the gateway (%(status)s)") % {"status": status}
    return _("Unexpected response: %(code)s") % {"code": code} if code else ""


def area_name(area: str) -> str:
    """Return a country's name, `+7727`, or a text for all areas that have no entry of their own."""
    if not area:
        return _("all other countries")
    return f"+{area}" if is_prefix(area) else country_name(area)


def area_words(areas: Iterable[str]) -> str:
    """Return areas as a list: `Kazakhstan, +7727`."""
    return ", ".join(map(area_name, areas))
