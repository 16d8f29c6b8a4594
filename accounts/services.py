"""What can be done with users and tokens, and by whom. Pages and API call the same functions."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress
from allauth.account.utils import has_verified_email
from allauth.core import ratelimit
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils import translation
from django.utils.timezone import now
from django.utils.translation import gettext as _

from accounts import idempotency, signins
from accounts.mfa import code_fits
from accounts.models import MAX_TOKEN_LIFETIME, ApiToken, Scope, Usage, User
from project.http import Conflict, TooManyRequests

RIGHTS = frozenset({"is_active", "is_staff"})
_SIGNUP_PAUSE = 60  # seconds; these two are the windows of allauth's rate limits
_LOGIN_PAUSE = 300


class NotSignedIn(Exception):
    """Who asks has not shown that they are that user (HTTP 401)."""


def user_register(*, request: HttpRequest, email: str, password: str, first_name: str, last_name: str) -> User:
    """Sign up a user as the page does, and send the letter that confirms the address.

    Raises PermissionDenied while sign-up is closed, TooManyRequests, and ValidationError with the fields' names.
    """
    if not get_adapter().is_open_for_signup(request):
        raise PermissionDenied(_("Sign-up is closed. Ask an administrator for an account."))
    if not ratelimit.consume(request, action="signup"):
        raise TooManyRequests(_SIGNUP_PAUSE)
    user = User(email=email.lower(), first_name=first_name, last_name=last_name)
    _check_new(user, password)
    user.set_password(password)
    try:
        with transaction.atomic():
            user.save()
            address = EmailAddress.objects.create(user=user, email=user.email, primary=True)
    except IntegrityError as error:  # the same address came in at the same moment
        raise ValidationError({"email": _("This e-mail is already registered.")}) from error
    transaction.on_commit(lambda: address.send_confirmation(request, signup=True))
    return user


def _check_new(user: User, password: str) -> None:
    """All that is wrong with a new user at once."""
    errors: dict[str, Any] = {}
    try:
        user.full_clean(exclude=["password"])
    except ValidationError as error:
        errors = error.error_dict
    try:
        validate_password(password, user)
    except ValidationError as error:
        errors["password"] = error
    if errors:
        raise ValidationError(errors)


def user_update(*, user: User, by: User, **changes: Any) -> User:
    """Change a user's own settings, or as an administrator their rights (`RIGHTS`).

    Raises PermissionDenied, Conflict when no active administrator would be left, ValidationError with fields' names.
    """
    check_may_change(user=user, by=by)
    if RIGHTS & changes.keys() and not by.is_staff:
        raise PermissionDenied(_("Only an administrator changes rights."))
    with transaction.atomic():
        if changes.get("is_staff") is False or changes.get("is_active") is False:
            check_administrator_left(user)
        if "is_active" in changes and user.invited_at:
            raise Conflict(_("They are invited and have not accepted yet."))
        for name, value in changes.items():
            setattr(user, name, value)
        user.full_clean(exclude=["password"])
        user.save(update_fields=list(changes))
    return user


def user_deactivate(*, user: User, by: User) -> None:
    """Close an account: its sessions and tokens end at once, and what it made stays.

    Raises PermissionDenied, and Conflict for the last active administrator.
    """
    check_may_change(user=user, by=by)
    if user.invited_at:
        raise Conflict(_("They are invited and have not accepted yet."))
    with transaction.atomic():
        check_administrator_left(user)
        user.is_active = False
        user.save(update_fields=["is_active"])


def second_factor_remove(*, user: User, by: User) -> None:
    """For who has lost phone, keys and recovery codes: the password alone signs them in again. They get a letter.

    Raises PermissionDenied unless `by` is an administrator, and Conflict where there is none.
    """
    if not by.is_staff:
        raise PermissionDenied(_("Only an administrator changes rights."))
    if not Authenticator.objects.filter(user=user).delete()[0]:
        raise Conflict(_("There is no second step to remove."))
    with translation.override(user.language):
        get_adapter().send_mail("account/email/second_factor_removed", user.email, {"by": by})


def check_may_change(*, user: User, by: User) -> None:
    """Users see and change themselves, administrators everyone; else PermissionDenied."""
    if not by.is_staff and by.pk != user.pk:
        raise PermissionDenied(_("This is another user's account."))


def check_administrator_left(without: User) -> None:
    """Conflict rather than lose the last one; the rows are locked, so that two can't leave at the same moment."""
    administrators = User.objects.select_for_update().filter(is_staff=True, is_active=True).order_by("pk")
    if {row.pk for row in administrators} == {without.pk}:
        raise Conflict(_("This is the last active administrator. Make another one first."))


def token_issue(
    *, request: HttpRequest, email: str, password: str, code: str | None = None, **details: Any
) -> tuple[ApiToken, str]:
    """A new API token for an e-mail, a password and, where there is a second factor, its code: the row and its secret.

    `details` and errors as of `token_create`.

    A wrong e-mail costs as much time as a wrong password. Raises NotSignedIn when they don't fit an active user,
    TooManyRequests after as many failures as on the page, and PermissionDenied while the address must be confirmed.
    """
    try:
        user = get_adapter().authenticate(request, email=email, password=password)
        if user is None or not user.is_active:
            raise NotSignedIn(_("The e-mail or the password is wrong."))
        _check_second_factor(user, code)
    except ValidationError as error:  # allauth's way to say that the rate limit is used up
        raise TooManyRequests(_LOGIN_PAUSE) from error
    if settings.EMAIL_VERIFICATION == "mandatory" and not has_verified_email(user, user.email):
        raise PermissionDenied(_("Confirm your e-mail address first: open the link in the letter that you were sent."))
    return token_create(user=user, **details)


def _check_second_factor(user: User, code: str | None) -> None:
    """NotSignedIn unless there is none, or this is its code."""
    if not is_mfa_enabled(user):
        return
    if code is None:
        raise NotSignedIn(_("This account has a second factor: send its code, or a recovery code, as “code”."))
    if not code_fits(user, code):
        raise NotSignedIn(_("The code is wrong, or was used already."))


def token_create(
    *, user: User, name: str = "", scopes: Iterable[str] = Scope.values, expires_at: datetime | None = None
) -> tuple[ApiToken, str]:
    """A new token of `user` and its secret; by default it may do everything for a year. ValidationError by field."""
    if not set(scopes):
        raise ValidationError({"scopes": _("Choose what the token may do.")})
    if expires_at is not None and not now() < expires_at <= now() + MAX_TOKEN_LIFETIME:
        raise ValidationError({"expires_at": _("The end must lie within the next five years.")})
    return ApiToken.issue(user, name, scopes=scopes, expires_at=expires_at)


def token_revoke(*, token: ApiToken, by: User) -> None:
    """End a token at once; it stays on the list. Raises PermissionDenied unless it is `by`'s own."""
    if token.user_id != by.pk:
        raise PermissionDenied(_("This is another user's token."))
    ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now())


def prune() -> None:
    """Forget what nobody may ask for any more: kept answers of yesterday, and counts of other minutes."""
    idempotency.prune()
    signins.prune()
    Usage.objects.filter(minute__lt=int(now().timestamp()) // 60 - 1).delete()
