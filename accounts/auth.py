"""Bearer tokens of the JSON API: who calls, what the token may do, and how often."""

from datetime import timedelta
from typing import Final

import structlog
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja.security.http import HttpAuthBase

from accounts import throttle
from accounts.models import ApiToken, Scope
from project.http import Signed, client_address

_SEEN_EVERY: Final = timedelta(minutes=1)


class TokenAuth(HttpAuthBase):
    """`Authorization: Bearer <token>`; the token becomes `request.auth` and its user `request.user`.

    It must have the scope: `read` for GET and `write` for the rest, unless another is given.
    """

    openapi_scheme = "bearer"

    def __init__(self, scope: Scope | None = None) -> None:
        super().__init__()
        self.scope = scope

    def __call__(self, request: HttpRequest) -> ApiToken | None:
        """The token, or None (401) when it is unknown, expired, revoked or its user is deactivated.

        Raises PermissionDenied without the scope, TooManyRequests when the limit is used up.
        """
        token = token_of(request)
        if token is None:
            return None
        structlog.contextvars.bind_contextvars(user=token.user_id, token=token.pk)
        check_scope(token, self.scope or (Scope.READ if request.method == "GET" else Scope.WRITE))
        moment = timezone.now()
        if token.last_used_at is None or moment - token.last_used_at > _SEEN_EVERY:
            ApiToken.objects.filter(pk=token.pk).update(last_used_at=moment)
        request.user = token.user
        return token


def anyone(request: HttpRequest) -> bool:
    """The authentication of calls that need none: they are counted all the same."""
    token_of(request)
    return True


def token_of(request: HttpRequest) -> ApiToken | None:
    """The usable token that a request shows; looked up, and the request counted, once.

    Raises TooManyRequests when the token, or the address of a request without one, has used up its limit.
    """
    if not hasattr(request, "shown_token"):
        scheme, _space, secret = request.headers.get("Authorization", "").partition(" ")
        rows = ApiToken.objects.usable().select_related("user").filter(digest=ApiToken.digest_of(secret))
        token = rows.first() if secret and scheme.lower() == "bearer" else None
        if token is None:
            throttle.spend(f"address {client_address(request)}", throttle.PER_ADDRESS)
        else:
            throttle.spend(f"token {token.pk}", settings.API_RATE)
        request.shown_token = token  # type: ignore[attr-defined]
    shown: ApiToken | None = request.shown_token  # type: ignore[attr-defined]
    return shown


def check_scope(token: ApiToken, scope: Scope) -> None:
    """PermissionDenied unless the token has that scope."""
    if scope not in token.scopes:
        raise PermissionDenied(_("This token has no “%(scope)s” scope.") % {"scope": scope.value})


def check_may_send(request: Signed) -> None:
    """For calls that make messages leave with some bodies only: those ask for the scope `send` as well."""
    check_scope(request.auth, Scope.SEND)
