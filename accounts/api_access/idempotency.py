"""`Idempotency-Key`: a client that does not know whether a request arrived can repeat it; it is executed once.

The key, the effects of the request and its answer are one transaction. Of simultaneous requests with the same key,
the first runs, and the database makes the others wait for its answer. A request that dies half-way leaves nothing.
"""

import hashlib
import inspect
import re
from collections.abc import Callable
from datetime import timedelta
from functools import partial, wraps
from typing import Any, Final, TypeAlias, TypeVar

from django.conf import settings
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _
from ninja.decorators import decorate_view
from ninja.operation import Operation
from ninja.utils import contribute_operation_callback

from accounts.api_access.tokens import check_scope, scopes_required, token_of
from accounts.models import ApiToken, Scope, StoredAnswer
from project.core import sealed_secrets
from project.core.clock import now
from project.http.client import client_address
from project.http.errors import Conflict, Invalid, TooManyRequests

HEADER: Final = "Idempotency-Key"
MAX_KEY_LENGTH: Final = 255
RETENTION: Final = timedelta(hours=24)
# Answers that ask for another request, or for the same one later, leave the key free.
_STATUSES_NOT_STORED: Final = frozenset({400, 401, 403, 413, 422, 429})
_PARAMETER: Final = {
    "in": "header",
    "name": HEADER,
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH, "pattern": "^[!-~]+$"},
    "description": (
        "Any text of your own that names this request, say a UUID. For 24 hours the same request with the same key "
        "gives the first answer again (with `Idempotent-Replayed: true`) and does nothing. "
        "Another request with it gets 409."
    ),  # no example: Swagger UI would send it with every request, and the second gets 409
}

# A form may be parsed here, before the operation runs.
_REFUSALS: Final = (
    Conflict,
    Invalid,
    PermissionDenied,
    TooManyRequests,
    MultiPartParserError,
    SuspiciousOperation,
)

View = TypeVar("View", bound=Callable[..., Any])
Run: TypeAlias = Callable[..., HttpResponse]


def idempotent(view: View) -> View:
    """Let an operation be repeated with an `Idempotency-Key`."""
    decorate_view(_execute_once)(view)
    contribute_operation_callback(view, _describe)
    return view


def idempotent_with_secret(view: View) -> View:
    """Like `idempotent`, for an operation that answers with a secret: the stored answer is encrypted."""
    view.answers_with_secret = True  # type: ignore[attr-defined]
    return idempotent(view)


def _describe(operation: Operation) -> None:
    operation.openapi_extra = {**(operation.openapi_extra or {}), "parameters": [_PARAMETER]}


def _execute_once(run: Run) -> Run:
    """Wrap an operation, from authentication to answer."""

    @wraps(run)
    def execute_once(request: HttpRequest, **parameters: Any) -> HttpResponse:
        key = request.headers.get(HEADER)
        if key is None:
            return run(request, **parameters)
        operation: Operation = inspect.unwrap(run).__self__
        has_secret = hasattr(operation.view_func, "answers_with_secret")
        try:
            _check_key(key)
            return _answer_once(request, key, partial(run, request, **parameters), has_secret)
        except _REFUSALS as error:
            return operation.api.on_exception(request, error)

    return execute_once


def _check_key(key: str) -> None:
    if not (0 < len(key) <= MAX_KEY_LENGTH and all("!" <= character <= "~" for character in key)):
        raise Invalid(["header", HEADER], _("Use 1 to 255 visible ASCII characters without spaces."))


def _answer_once(request: HttpRequest, key: str, run: Callable[[], HttpResponse], has_secret: bool) -> HttpResponse:
    token, fingerprints = token_of(request), _fingerprints(request)
    caller = f"user {token.user_id}" if token else f"address {client_address(request)}"
    with transaction.atomic():
        names = _hashes(f"{caller} {key}".encode())
        row, created = StoredAnswer.objects.get_or_create(
            key__in=names, defaults={"key": names[0], "fingerprint": fingerprints[0]}
        )
        if not created:
            return _replay(row, fingerprints, token)
        response = run()
        if response.status_code >= 500:
            transaction.set_rollback(True)
        elif response.status_code in _STATUSES_NOT_STORED:
            row.delete()
        else:
            body = response.content.decode()
            row.body, row.sealed = (sealed_secrets.seal(body), True) if has_secret else (body, False)
            row.status, row.scopes = response.status_code, " ".join(scopes_required(request))
            row.save()
    return response


def _replay(row: StoredAnswer, fingerprints: list[str], token: ApiToken | None) -> HttpResponse:
    """Return the stored answer if the token has the scopes that the first request needed."""
    for scope in row.scopes.split():
        if token is not None:
            check_scope(token, Scope(scope))
    if row.fingerprint not in fingerprints:
        raise Conflict(_("This Idempotency-Key has already been used for a different request."))
    body = sealed_secrets.unseal(row.body) if row.sealed else row.body
    response = HttpResponse(body, status=row.status, content_type="application/json")
    response["Idempotent-Replayed"] = "true"
    return response


def _fingerprints(request: HttpRequest) -> list[str]:
    body = _digest_of_form(request) if request.content_type == "multipart/form-data" else request.body
    return _hashes(b"\0".join([str(request.method).encode(), request.get_full_path().encode(), body]))


def _digest_of_form(request: HttpRequest) -> bytes:
    """Return a digest of fields and files. The body can't be read, because files may not fit into memory."""
    digest = hashlib.sha256(repr(sorted(request.POST.lists())).encode("utf-8", "surrogatepass"))
    files = [(field, file) for field in sorted(request.FILES) for file in request.FILES.getlist(field)]
    for name, file in files:
        digest.update(repr((name, file.name, file.size)).encode("utf-8", "surrogatepass"))
        for chunk in file.chunks():
            digest.update(chunk)
        file.seek(0)
    return digest.digest()


def _hashes(value: bytes) -> list[str]:
    """Hash with the current key and with those of `SECRET_KEY_FALLBACKS`, so that repeats survive a change of key."""
    # Requests may hold passwords, which a bare hash of the whole would let be guessed.
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return [salted_hmac("vestnik.idempotency", value, secret=key, algorithm="sha256").hexdigest() for key in keys]


def delete_answers_containing(pattern: re.Pattern[str]) -> None:
    """Delete the stored answers whose body matches a pattern."""
    rows = StoredAnswer.objects.values_list("pk", "body").iterator(1000)
    StoredAnswer.objects.filter(pk__in=[pk for pk, body in rows if pattern.search(body)]).delete()


def prune() -> None:
    """Delete stored answers older than a day."""
    StoredAnswer.objects.filter(created_at__lt=now() - RETENTION).delete()
