"""Answers to unhandled errors: internal errors, an unreachable database, or a secret that no key opens."""

import sys
from typing import Final

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import get_template
from django.utils.translation import gettext as _

from project.core.sealed_secrets import Locked
from project.queue.broker import DB_OUTAGE_ERRORS

_RETRY_AFTER_SECONDS: Final = 5


def failed(request: HttpRequest) -> HttpResponse:
    """Django's `handler500`, called while the error is handled."""
    error = sys.exception()
    if request.path.startswith("/api/"):
        return with_status(error, JsonResponse({"detail": detail(error)}))
    # None of these pages queries the database for the user.
    name = (
        "503.html"
        if isinstance(error, DB_OUTAGE_ERRORS)
        else "locked.html"
        if isinstance(error, Locked)
        else "500.html"
    )
    return with_status(error, HttpResponse(get_template(name).render({"detail": detail(error)})))


def with_status(error: BaseException | None, response: HttpResponse) -> HttpResponse:
    """Set the status of the response: 503 if the same request may succeed later, otherwise 500."""
    response.status_code = 503 if isinstance(error, Locked) else 500
    if isinstance(error, DB_OUTAGE_ERRORS):
        response.status_code, response["Retry-After"] = 503, str(_RETRY_AFTER_SECONDS)
    return response


def detail(error: BaseException | None) -> str:
    """Return the message for API clients."""
    if isinstance(error, DB_OUTAGE_ERRORS):
        return _("The database is not available. Try again in a few seconds.")
    if isinstance(error, Locked):
        return _(
            "A secret in the database can’t be decrypted: SECRET_KEY was changed, and the previous key is not in "
            "SECRET_KEY_FALLBACKS. Ask the operator of Vestnik to add it there and restart the web processes."
        )
    return _("An internal error occurred. Use the X-Request-ID to find it in the log.")
