"""The client of a request: its user and address."""

from functools import cache
from ipaddress import ip_address
from typing import Any

import structlog
from django.conf import settings
from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails

log = structlog.get_logger("vestnik.http")


class UserRequest(HttpRequest):
    """A request with a signed-in user, by `login_required` or by a token, which is then `auth`."""

    user: Any
    auth: Any
    htmx: HtmxDetails


def client_address(request: HttpRequest) -> str:
    """Return the address of the client: the peer's, or the one that our outermost proxy has seen.

    Anybody can send X-Forwarded-For; only its last `TRUSTED_PROXIES` entries come from our proxies. A client on a Unix
    socket has no address and counts as this host.
    """
    forwarded = request.headers.get("X-Forwarded-For", "")
    entries = [part.strip() for part in forwarded.split(",")]
    proxies = settings.TRUSTED_PROXIES
    if forwarded and not proxies:
        warn_of_untrusted_proxy()
    for address in (entries[-proxies] if 0 < proxies <= len(entries) else "", request.META.get("REMOTE_ADDR", "")):
        try:
            return str(ip_address(address))
        except ValueError:
            continue
    return "127.0.0.1"


@cache
def warn_of_untrusted_proxy() -> None:
    """Warn once per process that requests seem to come through a proxy that is not trusted."""
    log.warning(
        "forwarded requests without a trusted proxy: limits count its address for everyone; set TRUSTED_PROXIES"
    )
