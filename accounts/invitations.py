"""Invitations: an account is made for an e-mail address, and a link in a letter opens it.

An invited user is inactive, and so receives nothing and opens nothing. The unusable password that Django gives them is
random: it is in the signed link, so that a link opens an account once, and a new letter ends the links before.
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
from django.utils.timezone import now
from django.utils.translation import gettext as _

from accounts.models import User
from project.http import Conflict

HOLDS: Final = timedelta(days=7)
_SALT: Final = "accounts.invitations"


def invite(*, email: str, by: User, is_staff: bool = False) -> User:
    """Make an inactive account for that address, an administrator's if so wished, and send the letter.

    Raises ValidationError with the field's name when the address is no address, or has an account.
    """
    user = User(email=email.strip().lower(), is_staff=is_staff, is_active=False, language=by.language)
    user.timezone = by.timezone
    user.invited_at = now()
    user.set_unusable_password()
    user.full_clean(exclude=["password"])
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError as error:  # the same address came in at the same moment
        raise ValidationError({"email": _("This e-mail is already registered.")}) from error
    _send(user, by)
    return user


def invite_again(*, user: User, by: User) -> None:
    """Send a new letter; the link of the one before opens nothing any more. Conflict when it was accepted."""
    with transaction.atomic():
        _locked(user)
        user.invited_at = now()
        user.set_unusable_password()
        user.save(update_fields=["invited_at", "password"])
    _send(user, by)


def withdraw(*, user: User) -> None:
    """Forget an invitation: nobody has used the account. Conflict when it was accepted."""
    with transaction.atomic():
        _locked(user).delete()


def link_of(user: User) -> str:
    """The address in the letter; it holds for `HOLDS`, and once."""
    token = signing.dumps([user.pk, user.password], salt=_SALT)
    return urljoin(settings.PUBLIC_URL, reverse("accounts:invitation", args=[token]))


def of_token(token: str) -> User | None:
    """Who is invited by that link, or None: it is forged, too old, used, or replaced by a newer one."""
    try:
        pk, password = signing.loads(token, salt=_SALT, max_age=HOLDS)
    except signing.BadSignature:
        return None
    return User.objects.invited().filter(pk=pk, password=password).first()


def accept(*, user: User, first_name: str, last_name: str, password: str | None = None) -> None:
    """Open the account: its address is confirmed. Without a password its user signs in elsewhere.

    Raises ValidationError with the fields' names, and Conflict when it was accepted or withdrawn meanwhile.
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
        raise Conflict(_("This invitation was accepted or withdrawn."))
    return row


def _send(user: User, by: User) -> None:
    with translation.override(user.language):
        told = {"by": by, "link": link_of(user), "days": HOLDS.days}
        get_adapter().send_mail("account/email/invitation", user.email, told)
