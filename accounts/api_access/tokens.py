"""Bearer tokens of the JSON API: the caller, the token's scopes, and its rate limit."""

from datetime import timedelta
from typing import Final

import structlog
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja.security.http import HttpAuthBase

from accounts.api_access import throttle
from accounts.models import ApiToken, Scope
from project.core.clock import now
from project.http.client import UserRequest, client_address

_LAST_USED_PRECISION: Final = timedelta(minutes=1)


class TokenAuth(HttpAuthBase):
    """`Authorization: Bearer <token>`. Sets `request.auth` to the token and `request.user` to its user.

    The token must have `scope`; the default is `read` for GET and `write` for other methods.
    """

    openapi_scheme = "bearer"

    def __init__(self, scope: Scope | None = None) -> None:
        super().__init__()
        self.scope = scope

    def __call__(self, request: HttpRequest) -> ApiToken | None:
        """Return the token, or None (401) if it is unknown, expired, revoked or its user is deactivated.

        Raises PermissionDenied without the scope, and TooManyRequests above the rate limit.
        """
        token = token_of(request)
        if token is None:
            return None
        structlog.contextvars.bind_contextvars(user=token.user_id, token=token.pk)
        _require_scope(request, token, self.scope or (Scope.READ if request.method == "GET" else Scope.WRITE))
        moment = now()
        if token.last_used_at is None or moment - token.last_used_at > _LAST_USED_PRECISION:
            ApiToken.objects.filter(pk=token.pk).update(last_used_at=moment)
        request.user = token.user
        return token


def anyone(request: HttpRequest) -> bool:
    """Authenticate operations that are open to everyone; their requests are counted too."""
    token_of(request)
    return True


def token_of(request: HttpRequest) -> ApiToken | None:
    """Return the valid token of a request. Looks it up and counts the request only once.

    Raises TooManyRequests above the rate limit of the token, or of the address if there is no token.
    """
    if not hasattr(request, "shown_token"):
        scheme, _space, secret = request.headers.get("Authorization", "").partition(" ")
        rows = ApiToken.objects.usable().select_related("user").filter(digest=ApiToken.digest_of(secret))
        token = rows.first() if secret and scheme.lower() == "bearer" else None
        if token is None:
            throttle.spend(f"address {client_address(request)}", throttle.MAX_PER_ADDRESS)
        else:
            throttle.spend(f"token {token.pk}", settings.API_RATE)
        request.shown_token = token  # type: ignore[attr-defined]
    shown: ApiToken | None = request.shown_token  # type: ignore[attr-defined]
    return shown


def check_scope(token: ApiToken, scope: Scope) -> None:
    """Raise PermissionDenied unless the token has that scope."""
    if scope not in token.scopes:
        raise PermissionDenied(_("This token does not have the “%(scope)s” scope.") % {"scope": scope.value})


def check_may_send(request: UserRequest) -> None:
    """Require the scope `send` in operations that send messages with some bodies only."""
    _require_scope(request, request.auth, Scope.SEND)


def scopes_required(request: HttpRequest) -> list[str]:
    """Return the scopes that were required of this request."""
    return sorted(getattr(request, "asked_scopes", ()))


def _require_scope(request: HttpRequest, token: ApiToken, scope: Scope) -> None:
    """Require a scope, and note it for replays of the answer."""
    check_scope(token, scope)
    request.asked_scopes = {*scopes_required(request), scope.value}  # type: ignore[attr-defined]
