"""Invitations: an administrator creates an account for an e-mail address, and a link in an e-mail opens it.

An invited user is inactive. Django gives them a random unusable password, which is part of the signed link. So a link
opens an account once, and a new invitation ends earlier links.
"""

from datetime import timedelta
from typing import Final
from urllib.parse import urljoin

from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress
from django.conf import settings
from django.core import signing
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from accounts.models import User
from project.core.clock import now
from project.http.errors import Conflict

LINK_LIFETIME: Final = timedelta(days=7)
_SALT: Final = "accounts.invitations"


def invite(*, email: str, by: User, is_staff: bool = False) -> User:
    """Create an inactive account for that address, and send the e-mail.

    Raises ValidationError by field if the address is invalid or has an account.
    """
    user = User(email=email.strip().lower(), is_staff=is_staff, is_active=False, language=by.language)
    user.timezone = by.timezone
    user.invited_at = now()
    user.set_unusable_password()
    user.full_clean(exclude=["password"])
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError as error:  # a simultaneous request registered the address
        raise ValidationError({"email": _("This e-mail address is already registered.")}) from error
    _send(user, by)
    return user


def invite_again(*, user: User, by: User) -> None:
    """Send a new e-mail; the earlier link becomes invalid. Raises Conflict if the invitation was accepted."""
    with transaction.atomic():
        _locked(user)
        user.invited_at = now()
        user.set_unusable_password()
        user.save(update_fields=["invited_at", "password"])
    _send(user, by)


def withdraw(*, user: User) -> None:
    """Delete an invitation; nobody has used the account. Raises Conflict if it was accepted."""
    with transaction.atomic():
        _locked(user).delete()


def link_of(user: User) -> str:
    """Return the link for the e-mail. It is valid once, and for `LINK_LIFETIME`."""
    token = signing.dumps([user.pk, user.email, user.password], salt=_SALT)
    return urljoin(settings.PUBLIC_URL, reverse("accounts:invitation", args=[token]))


def invited_user(token: str) -> User | None:
    """Return the user whom that link invites, or None if it is forged, expired, used or replaced."""
    try:
        pk, email, password = signing.loads(token, salt=_SALT, max_age=LINK_LIFETIME)
    except (signing.BadSignature, ValueError):
        return None
    return User.objects.invited().filter(pk=pk, email=email, password=password).first()


def accept(*, user: User, first_name: str, last_name: str, password: str | None = None) -> None:
    """Open the account and confirm its address. Without a password, its user signs in through the provider.

    Raises ValidationError by field, and Conflict if the invitation was accepted or withdrawn meanwhile.
    """
    with transaction.atomic():
        _locked(user)
        user.first_name, user.last_name = first_name, last_name
        user.full_clean(exclude=["password"])
        user.set_password(password)
        user.is_active, user.invited_at, user.date_joined = True, None, now()
        user.save()
        EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)


def _locked(user: User) -> User:
    row = User.objects.invited().select_for_update().filter(pk=user.pk, password=user.password).first()
    if row is None:
        raise Conflict(_("This invitation has already been accepted or withdrawn."))
    return row


def _send(user: User, by: User) -> None:
    with translation.override(user.language):
        context = {"by": by, "link": link_of(user), "days": LINK_LIFETIME.days}
        get_adapter().send_mail("account/email/invitation", user.email, context)
