"""Ending all access of a user: sessions, tokens, links in e-mails, and pending changes.

Sessions and links are bound to the user's random security stamp, so a new stamp ends them all.
"""

import secrets

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.db import transaction

from accounts.models import ApiToken, User
from project.core.clock import now


def end_access(user: User) -> None:
    """End the user's sessions, tokens, pending links and pending change of address."""
    with transaction.atomic():
        user.security_stamp = secrets.token_hex(16)
        user.save(update_fields=["security_stamp"])
        tokens_revoke(user=user)
        EmailAddress.objects.filter(user=user, verified=False).exclude(email=user.email).delete()
        for session in UserSession.objects.filter(user=user):
            session.end()


def end_access_and_webhooks(user: User) -> None:
    """Like `end_access`, and disable the user's webhooks. For deactivation and reactivation."""
    with transaction.atomic():
        end_access(user)
        user.webhooks.all().disable()


def end_access_after_reset(user: User) -> None:
    """End access that somebody else may have prepared, now that the owner of the address has set a password.

    External accounts are linked again when their owner signs in with the same address. If the reset is the first proof
    of the address, it also removes second factors and disables webhooks: until now, the owner was not verified.
    """
    with transaction.atomic():
        end_access(user)
        SocialAccount.objects.filter(user=user).delete()
        address, _new = EmailAddress.objects.get_or_create(user=user, email=user.email, defaults={"primary": True})
        if not address.verified:
            Authenticator.objects.filter(user=user).delete()
            user.webhooks.all().disable()
            address.set_verified()


def tokens_revoke(*, user: User) -> int:
    """Revoke all tokens of the user, and return their number."""
    return ApiToken.objects.filter(user=user, revoked_at=None).update(revoked_at=now())
