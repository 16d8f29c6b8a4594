"""What we hold about a user, for the user to take away. Other apps add theirs by the signal `told`."""

from typing import Any, Final

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from auditlog.models import LogEntry
from django.db.models import QuerySet
from django.dispatch import Signal

from accounts.models import ApiToken, SignIn, User
from accounts.webhooks.models import Webhook

told: Final = Signal()
"""Sent with `user`; a receiver returns sections by name, each a list of plain rows, without secrets."""


def personal_data(user: User) -> dict[str, Any]:
    """Everything by section. Contacts are the organisation's: of what the user did to them the fact is told."""
    account = ("email", "first_name", "last_name", "timezone", "language", "daily_report", "weekly_report")
    sections: dict[str, Any] = {
        "account": {name: getattr(user, name) for name in (*account, "is_staff", "date_joined", "last_login")},
        "addresses": _rows(EmailAddress.objects.filter(user=user), "email", "verified", "primary"),
        "tokens": _rows(
            ApiToken.objects.filter(user=user), "name", "prefix", "created_at", "last_used_at", "revoked_at"
        ),
        "webhooks": _rows(Webhook.objects.filter(owner=user), "url", "events", "created_at", "disabled_at"),
        "second_factor": _rows(Authenticator.objects.filter(user=user), "type", "created_at", "last_used_at"),
        "external_accounts": _rows(SocialAccount.objects.filter(user=user), "provider", "uid", "last_login"),
        "sessions": _rows(UserSession.objects.filter(user=user), "ip", "user_agent", "created_at", "last_seen_at"),
        "sign_ins": _rows(SignIn.objects.filter(user=user), "at", "address", "user_agent", "methods"),
        "changes": _rows(
            LogEntry.objects.filter(actor=user), "timestamp", "content_type__model", "object_pk", "action"
        ),
    }
    more: Any
    for _receiver, more in told.send(User, user=user):
        sections |= more
    return sections


def _rows(rows: QuerySet[Any], *fields: str) -> list[dict[str, Any]]:
    return list(rows.order_by("pk").values(*fields))
