"""The export of a user's personal data. Other apps add sections through the signal `collect_personal_data`."""

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

collect_personal_data: Final = Signal()
"""Sent with `user`. A receiver returns sections by name, each a list of rows without secrets."""


def personal_data(user: User) -> dict[str, Any]:
    """Return all sections. Contacts belong to the organisation; the export lists only that the user changed them."""
    settings = ("email", "first_name", "last_name", "timezone", "language", "daily_report", "weekly_report")
    account = (*settings, "monthly_budget", "is_staff", "date_joined", "last_login")
    sections: dict[str, Any] = {
        "account": {name: getattr(user, name) for name in account},
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
    extra_sections: Any
    for _receiver, extra_sections in collect_personal_data.send(User, user=user):
        sections |= extra_sections
    return sections


def _rows(rows: QuerySet[Any], *fields: str) -> list[dict[str, Any]]:
    return list(rows.order_by("pk").values(*fields))
