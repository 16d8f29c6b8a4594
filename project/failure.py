"""What nobody caught: our own fault, a database that is out of reach for the moment, or a secret that no key opens."""

import sys
from typing import Final

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import get_template
from django.utils.translation import gettext as _

from project.queue import OUT_OF_REACH
from project.vault import Locked

_RETRY_AFTER_SECONDS: Final = 5


def failed(request: HttpRequest) -> HttpResponse:
    """Django's `handler500`, called while the error is being handled."""
    error = sys.exception()
    if request.path.startswith("/api/"):
        return told(error, JsonResponse({"detail": detail(error)}))
    # Neither page asks the database who is looking.
    name = "503.html" if isinstance(error, OUT_OF_REACH) else "locked.html" if isinstance(error, Locked) else "500.html"
    return told(error, HttpResponse(get_template(name).render({"detail": detail(error)})))


def told(error: BaseException | None, response: HttpResponse) -> HttpResponse:
    """The response with its status: 503 where the same request may succeed later, else 500."""
    response.status_code = 503 if isinstance(error, Locked) else 500
    if isinstance(error, OUT_OF_REACH):
        response.status_code, response["Retry-After"] = 503, str(_RETRY_AFTER_SECONDS)
    return response


def detail(error: BaseException | None) -> str:
    """What a program is told."""
    if isinstance(error, OUT_OF_REACH):
        return _("The database can’t be reached for the moment: try again in a few seconds.")
    if isinstance(error, Locked):
        return _(
            "A secret in the database can’t be opened: SECRET_KEY was changed, and its former value is not in "
            "SECRET_KEY_FALLBACKS. Whoever runs Vestnik must put it there and start the web processes again."
        )
    return _("Something went wrong on our side; the X-Request-ID leads to it.")
