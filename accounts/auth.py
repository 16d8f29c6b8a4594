"""Bearer tokens of the JSON API."""

from datetime import timedelta

from django.http import HttpRequest
from django.utils import timezone
from ninja.security import HttpBearer

from accounts.models import ApiToken, User

_SEEN_EVERY = timedelta(minutes=1)


class TokenAuth(HttpBearer):
    """`Authorization: Bearer <token>`; the token's user becomes `request.user`."""

    def authenticate(self, request: HttpRequest, token: str) -> User | None:
        """The token's user, or None (401) when it is unknown, expired or its user is deactivated."""
        row = ApiToken.objects.usable().select_related("user").filter(digest=ApiToken.digest_of(token)).first()
        if row is None:
            return None
        now = timezone.now()
        if row.last_used_at is None or now - row.last_used_at > _SEEN_EVERY:
            ApiToken.objects.filter(pk=row.pk).update(last_used_at=now)
        request.user = row.user
        return row.user
