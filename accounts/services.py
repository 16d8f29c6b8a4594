"""Operations on users and tokens, and who may do them. Pages and API call these functions."""

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
from django.utils.translation import gettext as _

from accounts.api_access import idempotency
from accounts.models import MAX_TOKEN_LIFETIME, ApiToken, RequestCount, Scope, User
from accounts.optimistic_locking import check_version
from accounts.sign_in import revocation, sign_in_log
from accounts.sign_in.mfa import code_matches
from project.core.clock import now
from project.http.errors import Conflict, TooManyRequests

RIGHTS = frozenset({"is_active", "is_staff", "monthly_budget"})
"""What only administrators may change."""
_SIGNUP_RETRY_SECONDS = 60  # seconds; these two are the windows of allauth's rate limits
_LOGIN_RETRY_SECONDS = 300


class NotSignedIn(Exception):
    """The caller did not prove to be that user (HTTP 401)."""


def user_register(*, request: HttpRequest, email: str, password: str, first_name: str, last_name: str) -> User:
    """Sign up a user as the page does, and send the e-mail that confirms the address.

    Raises PermissionDenied while sign-up is closed, TooManyRequests, and ValidationError by field.
    """
    if not get_adapter().is_open_for_signup(request):
        raise PermissionDenied(_("Sign-up is closed. Ask an administrator to create an account for you."))
    if not ratelimit.consume(request, action="signup"):
        raise TooManyRequests(_SIGNUP_RETRY_SECONDS)
    user = User(email=email.lower(), first_name=first_name, last_name=last_name)
    _check_new(user, password)
    user.set_password(password)
    try:
        with transaction.atomic():
            user.save()
            address = EmailAddress.objects.create(user=user, email=user.email, primary=True)
    except IntegrityError as error:  # a simultaneous request registered the address
        raise ValidationError({"email": _("This e-mail address is already registered.")}) from error
    transaction.on_commit(lambda: address.send_confirmation(request, signup=True))
    return user


def _check_new(user: User, password: str) -> None:
    """Report all errors of a new user at once."""
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


def user_update(*, user: User, by: User, version: str | None = None, **changes: Any) -> User:
    """Change a user's own settings, or as an administrator their rights and budget (`RIGHTS`).

    Raises PermissionDenied, `Stale` (a Conflict) unless the user has the given version, Conflict if no active
    administrator would remain, and ValidationError by field.
    """
    check_may_change_user(user=user, by=by)
    if RIGHTS & changes.keys() and not by.is_staff:
        raise PermissionDenied(_("Only an administrator can change user roles and budgets."))
    with transaction.atomic():
        check_version(User.objects.select_for_update().get(pk=user.pk), version)
        if changes.get("is_staff") is False or changes.get("is_active") is False:
            check_administrator_remains(user)
        if "is_active" in changes and user.invited_at:
            raise Conflict(_("This user has been invited but has not accepted yet."))
        was_active = User.objects.select_for_update().get(pk=user.pk).is_active
        for name, value in changes.items():
            setattr(user, name, value)
        user.full_clean(exclude=["password"])
        user.save(update_fields=list(changes))
        if user.is_active != was_active:
            revocation.end_access_and_webhooks(user)
    return user


def user_deactivate(*, user: User, by: User) -> None:
    """Close an account: its sessions and tokens end at once, its objects remain.

    Raises PermissionDenied, and Conflict for the last active administrator.
    """
    check_may_change_user(user=user, by=by)
    if user.invited_at:
        raise Conflict(_("This user has been invited but has not accepted yet."))
    with transaction.atomic():
        check_administrator_remains(user)
        user.is_active = False
        user.save(update_fields=["is_active"])
        revocation.end_access_and_webhooks(user)


def second_factor_remove(*, user: User, by: User) -> None:
    """Remove the second factor of a user who lost phone, keys and recovery codes, and notify them by e-mail.

    Raises PermissionDenied unless `by` is an administrator, and Conflict if there is no second factor.
    """
    if not by.is_staff:
        raise PermissionDenied(_("Only an administrator can change user roles."))
    if not Authenticator.objects.filter(user=user).delete()[0]:
        raise Conflict(_("Two-factor authentication is already off."))
    with translation.override(user.language):
        get_adapter().send_mail("account/email/second_factor_removed", user.email, {"by": by})


def check_may_change_user(*, user: User, by: User) -> None:
    """Users may see and change themselves, administrators everyone. Otherwise PermissionDenied."""
    if not by.is_staff and by.pk != user.pk:
        raise PermissionDenied(_("This account belongs to another user."))


def check_administrator_remains(without: User) -> None:
    """Raise Conflict for the last active administrator. Locks the rows, so two can't leave at the same time."""
    administrators = User.objects.select_for_update().filter(is_staff=True, is_active=True).order_by("pk")
    if {row.pk for row in administrators} == {without.pk}:
        raise Conflict(_("This is the last active administrator. Make another user an administrator first."))


def token_issue(
    *, request: HttpRequest, email: str, password: str, code: str | None = None, **details: Any
) -> tuple[ApiToken, str]:
    """Issue an API token for an e-mail, a password and, if set up, the second factor's code. Returns row and secret.

    `details` and errors are those of `token_create`.

    A wrong e-mail takes as long as a wrong password. Raises NotSignedIn if they match no active user, TooManyRequests
    after as many failures as on the page, and PermissionDenied while the address is not confirmed.
    """
    try:
        user = get_adapter().authenticate(request, email=email, password=password)
        if user is None or not user.is_active:
            raise NotSignedIn(_("Wrong e-mail address or password."))
        _check_second_factor(user, code)
    except ValidationError as error:  # allauth reports an exceeded rate limit this way
        raise TooManyRequests(_LOGIN_RETRY_SECONDS) from error
    if settings.EMAIL_VERIFICATION == "mandatory" and not has_verified_email(user, user.email):
        raise PermissionDenied(_("Confirm your e-mail address first: open the link in the e-mail that we sent you."))
    return token_create(user=user, **details)


def _check_second_factor(user: User, code: str | None) -> None:
    """Raise NotSignedIn unless the user has no second factor, or this is its code."""
    if not is_mfa_enabled(user):
        return
    if code is None:
        raise NotSignedIn(
            _("This account uses two-factor authentication: send a code from the app or a recovery code as “code”.")
        )
    if not code_matches(user, code):
        raise NotSignedIn(_("The code is wrong or has already been used."))


def token_create(
    *, user: User, name: str = "", scopes: Iterable[str] = Scope.values, expires_at: datetime | None = None
) -> tuple[ApiToken, str]:
    """Create a token of `user`; return row and secret. Default: all scopes, a year. ValidationError by field."""
    if not set(scopes):
        raise ValidationError({"scopes": _("Select at least one permission for the token.")})
    if expires_at is not None and not now() < expires_at <= now() + MAX_TOKEN_LIFETIME:
        raise ValidationError({"expires_at": _("The expiry date must be in the future and within five years.")})
    return ApiToken.issue(user, name, scopes=scopes, expires_at=expires_at)


def token_revoke(*, token: ApiToken, by: User) -> None:
    """Revoke a token; it stays in the list. Raises PermissionDenied unless it belongs to `by`."""
    if token.user_id != by.pk:
        raise PermissionDenied(_("This token belongs to another user."))
    ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now())


def prune() -> None:
    """Delete expired answers, old sign-ins, and request counts of past minutes."""
    idempotency.prune()
    sign_in_log.prune()
    RequestCount.objects.filter(minute__lt=int(now().timestamp()) // 60 - 1).delete()
