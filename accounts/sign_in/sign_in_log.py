"""The log of sign-ins with time, address and method, for administrators. Entries are deleted after `RETENTION`."""

from datetime import timedelta
from typing import Any, Final

from allauth.account.authentication import get_authentication_records
from allauth.account.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest

from accounts.models import SignIn, User
from project.core.clock import now
from project.http.client import client_address

RETENTION: Final = timedelta(days=90)


@receiver(user_logged_in)
def _log_sign_in(request: HttpRequest, user: User, **_kwargs: Any) -> None:
    records = get_authentication_records(request, user)
    SignIn.objects.create(
        user=user,
        address=client_address(request),
        user_agent=request.headers.get("User-Agent", "")[:200],
        methods=[record.get("type", record["method"]) for record in records],
    )


def prune() -> None:
    """Delete older entries."""
    SignIn.objects.filter(at__lt=now() - RETENTION).delete()
