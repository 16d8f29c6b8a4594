"""`Idempotency-Key`: whoever doesn't know whether a request arrived may repeat it, and it is done once.

The key, what the request does and its answer are one transaction. So of simultaneous requests with one key the first
goes on while the database has the others wait, and then they get its answer; nothing is left of one that dies half-way.
"""

import inspect
from collections.abc import Callable
from datetime import timedelta
from functools import partial, wraps
from typing import Any, Final, TypeAlias, TypeVar

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _
from ninja.decorators import decorate_view
from ninja.operation import Operation
from ninja.utils import contribute_operation_callback

from accounts.auth import token_of
from accounts.models import KeptAnswer
from project.clock import now
from project.http import Conflict, Invalid, TooManyRequests, client_address

HEADER: Final = "Idempotency-Key"
MAX_KEY: Final = 255
KEPT: Final = timedelta(hours=24)
# Answers that ask for another request, or for the same one later, leave the key free.
_NOT_KEPT: Final = frozenset({400, 401, 413, 422, 429})
_PARAMETER: Final = {
    "in": "header",
    "name": HEADER,
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": "^[!-~]+$"},
    "description": (
        "Any text of your own that names this request, say a UUID. For 24 hours the same request with the same key "
        "gives the first answer again (with `Idempotent-Replayed: true`) and does nothing. "
        "Another request with it gets 409."
    ),
    "example": "3f0c7a52-5a3e-4a53-9d0b-0c8a6f6f5c11",
}

View = TypeVar("View", bound=Callable[..., Any])
Run: TypeAlias = Callable[..., HttpResponse]


def idempotent(view: View) -> View:
    """Let an operation be repeated with an `Idempotency-Key`."""
    decorate_view(_once)(view)
    contribute_operation_callback(view, _describe)
    return view


def _describe(operation: Operation) -> None:
    operation.openapi_extra = {**(operation.openapi_extra or {}), "parameters": [_PARAMETER]}


def _once(run: Run) -> Run:
    """Wrap an operation from authentication to answer."""

    @wraps(run)
    def once(request: HttpRequest, **parameters: Any) -> HttpResponse:
        key = request.headers.get(HEADER)
        if key is None:
            return run(request, **parameters)
        try:
            _check(key)
            return _answer(request, key, partial(run, request, **parameters))
        except (Conflict, Invalid, TooManyRequests) as error:
            operation: Operation = inspect.unwrap(run).__self__
            return operation.api.on_exception(request, error)

    return once


def _check(key: str) -> None:
    if not (0 < len(key) <= MAX_KEY and all("!" <= character <= "~" for character in key)):
        raise Invalid(["header", HEADER], _("1 to 255 visible ASCII characters without spaces."))


def _answer(request: HttpRequest, key: str, run: Callable[[], HttpResponse]) -> HttpResponse:
    token, fingerprints = token_of(request), _fingerprints(request)
    caller = f"user {token.user_id}" if token else f"address {client_address(request)}"
    with transaction.atomic():
        names = _hashes(f"{caller} {key}".encode())
        row, new = KeptAnswer.objects.get_or_create(
            key__in=names, defaults={"key": names[0], "fingerprint": fingerprints[0]}
        )
        if not new:
            return _again(row, fingerprints)
        response = run()
        if response.status_code >= 500:
            transaction.set_rollback(True)
        elif response.status_code in _NOT_KEPT:
            row.delete()
        else:
            KeptAnswer.objects.filter(pk=row.pk).update(status=response.status_code, body=response.content.decode())
    return response


def _again(row: KeptAnswer, fingerprints: list[str]) -> HttpResponse:
    if row.fingerprint not in fingerprints:
        raise Conflict(_("This Idempotency-Key was used for another request."))
    response = HttpResponse(row.body, status=row.status, content_type="application/json")
    response["Idempotent-Replayed"] = "true"
    return response


def _fingerprints(request: HttpRequest) -> list[str]:
    return _hashes(b"\0".join([str(request.method).encode(), request.get_full_path().encode(), request.body]))


def _hashes(value: bytes) -> list[str]:
    """By today's key, and by those of `SECRET_KEY_FALLBACKS`: a change of the key must do nothing twice."""
    # Requests may hold passwords, which a bare hash of the whole would let be guessed.
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return [salted_hmac("vestnik.idempotency", value, secret=key, algorithm="sha256").hexdigest() for key in keys]


def forget_answers(text: str) -> None:
    """Forget the answers that hold something: it must not be told again."""
    KeptAnswer.objects.filter(body__contains=text).delete()


def prune() -> None:
    """Forget the answers of more than a day ago."""
    KeptAnswer.objects.filter(created_at__lt=now() - KEPT).delete()
