"""Who signed in when, from where and how: kept for `KEPT`, so that an administrator can look into it."""

from datetime import timedelta
from typing import Any, Final

from allauth.account.authentication import get_authentication_records
from allauth.account.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils.timezone import now

from accounts.models import SignIn, User
from project.http import client_address

KEPT: Final = timedelta(days=90)


@receiver(user_logged_in)
def _note(request: HttpRequest, user: User, **_kwargs: Any) -> None:
    records = get_authentication_records(request, user)
    SignIn.objects.create(
        user=user,
        address=client_address(request),
        user_agent=request.headers.get("User-Agent", "")[:200],
        methods=[record.get("type", record["method"]) for record in records],
    )


def prune() -> None:
    """Forget what is older."""
    SignIn.objects.filter(at__lt=now() - KEPT).delete()
