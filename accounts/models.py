"""User, SignIn, ApiToken, and two tables of API access: stored answers for repeats, and request counts."""

import hashlib
import re
import secrets
import unicodedata
import zoneinfo
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from functools import cache
from typing import Any, ClassVar

from django.apps import apps
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from accounts.policies import may_change
from project.core import clock
from project.core.clock import now
from project.core.fields import ClockField
from project.core.money import MoneyField

TOKEN_LIFETIME = timedelta(days=365)
MAX_TOKEN_LIFETIME = timedelta(days=5 * 365)

_PERSON_NAME = re.compile(r"[^\W\d_]+(?:[ '’-][^\W\d_]+)*")


def validate_person_name(name: str) -> None:
    """Accept letters of any script, with single spaces, hyphens and apostrophes between them."""
    # In many scripts vowel signs and accents are marks, which a regular expression does not count as letters.
    letters = "".join(character for character in name if not unicodedata.category(character).startswith("M"))
    if not _PERSON_NAME.fullmatch(letters):
        raise ValidationError(_("Use letters, spaces, hyphens and apostrophes only."))


@cache
def known_timezones() -> frozenset[str]:
    """Return all names of the IANA time zone database, cached because reading it takes 40 ms.

    Leaves out two names that are not places: the host's own zone and the placeholder for none.
    """
    return frozenset(zoneinfo.available_timezones() - {"localtime", "Factory"})


def validate_timezone(name: str) -> None:
    """Accept only names of the IANA time zone database."""
    if name not in known_timezones():
        raise ValidationError(_("“%(name)s” is not a valid time zone. Example: Europe/Moscow."), params={"name": name})


def default_timezone() -> str:
    """Return the time zone of the installation."""
    return settings.TIME_ZONE


def default_language() -> str:
    """Return the language of the installation."""
    return settings.LANGUAGE_CODE


class UserManager(BaseUserManager["User"]):
    """Creates users by e-mail; `createsuperuser` calls it too."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Create a user. Without a password, nobody can sign in as them."""
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Create an administrator with all rights in the Django admin. The e-mail address counts as verified."""
        user = self.create_user(email, password, is_staff=True, is_superuser=True, **fields)
        apps.get_model("account", "EmailAddress").objects.create(
            user=user, email=user.email, primary=True, verified=True
        )
        return user

    def invited(self) -> "models.QuerySet[User]":
        """Return users who were invited and have not accepted yet."""
        return self.filter(invited_at__isnull=False)

    def get_by_natural_key(self, username: str | None) -> "User":
        """Compare e-mail addresses without case."""
        return self.get(email=(username or "").strip().lower())


class User(AbstractBaseUser, PermissionsMixin):
    """A person who signs in by e-mail. `is_staff` marks administrators. Users are deactivated, never deleted."""

    email = models.EmailField(
        _("e-mail"), unique=True, error_messages={"unique": _("This e-mail address is already registered.")}
    )
    first_name = models.CharField(_("first name"), max_length=150, blank=True, validators=[validate_person_name])
    last_name = models.CharField(_("last name"), max_length=150, blank=True, validators=[validate_person_name])
    timezone = models.CharField(_("time zone"), max_length=64, default=default_timezone, validators=[validate_timezone])
    language = models.CharField(_("language"), max_length=8, default=default_language, choices=settings.LANGUAGES)
    daily_report = models.BooleanField(_("daily report by e-mail"), default=True)
    weekly_report = models.BooleanField(_("weekly report by e-mail"), default=False)
    empty_reports = models.BooleanField(_("send reports even when there is no activity"), default=False)
    monthly_budget = MoneyField(_("monthly budget"), null=True, blank=True)
    is_active = models.BooleanField(_("active"), default=True)
    is_staff = models.BooleanField(_("administrator"), default=False)
    date_joined = models.DateTimeField(_("joined"), default=now)
    invited_at = models.DateTimeField(_("invited"), null=True, blank=True, editable=False)
    security_stamp = models.CharField(max_length=32, blank=True, default="", db_default="", editable=False)

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects: ClassVar[UserManager] = UserManager()

    VERSIONED: ClassVar = (
        *("first_name", "last_name", "timezone", "language", "daily_report", "weekly_report", "empty_reports"),
        *("monthly_budget", "is_active", "is_staff"),
    )

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")

    def __str__(self) -> str:
        return self.get_full_name() or self.email

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store the e-mail in lower case, so that comparison ignores case."""
        self.email = self.email.lower()
        super().save(*args, **kwargs)

    def get_full_name(self) -> str:
        """Return first and last name, or an empty string."""
        return f"{self.first_name} {self.last_name}".strip()

    def get_session_auth_hash(self) -> str:
        """Return the hash that binds sessions and links to password and stamp; a change of either ends them."""
        return self._access_hash(settings.SECRET_KEY)

    def get_session_auth_fallback_hash(self) -> Iterator[str]:
        """Return the same hash with each key of `SECRET_KEY_FALLBACKS`."""
        return map(self._access_hash, settings.SECRET_KEY_FALLBACKS)

    def matches_access_hash(self, access_hash: str) -> bool:
        """Whether this is the user's present `get_session_auth_hash`, with the current or a former key."""
        return access_hash in (self.get_session_auth_hash(), *self.get_session_auth_fallback_hash())

    def _access_hash(self, secret: str) -> str:
        # The salt is Django's, so that sessions from before stamps were introduced stay valid.
        salt = "django.contrib.auth.models.AbstractBaseUser.get_session_auth_hash"
        return salted_hmac(salt, self.password + self.security_stamp, secret=secret, algorithm="sha256").hexdigest()

    def may_change(self, row: Any) -> bool:
        """See `accounts.policies`."""
        return may_change(self, row)


class SignIn(models.Model):
    """A sign-in to the pages: its address and methods (`password`, `totp`, `recovery_codes`, `webauthn`, …)."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sign_ins")
    at = models.DateTimeField(default=now, db_index=True)
    address = models.GenericIPAddressField()
    user_agent = models.CharField(max_length=200, blank=True)
    methods = models.JSONField(default=list)

    class Meta:
        verbose_name = _("sign-in")
        verbose_name_plural = _("sign-ins")

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.address}"


class TokenQuerySet(models.QuerySet["ApiToken"]):
    """Selections of tokens."""

    def usable(self) -> "TokenQuerySet":
        """Return tokens that are neither expired nor revoked and belong to an active user."""
        return self.filter(expires_at__gt=now(), revoked_at=None, user__is_active=True)


class Scope(models.TextChoices):
    """What a token may do. `send` covers everything that sends messages, `write` all other changes."""

    READ = "read", _("Read")
    WRITE = "write", _("Write")
    SEND = "send", _("Send")


def every_scope() -> list[str]:
    """Return the scopes of an unrestricted token."""
    return list(Scope.values)


class ApiToken(models.Model):
    """A key to the JSON API. The token is shown once; the database stores only its SHA-256.

    A fast hash suffices, because a token has 256 random bits. The row of a revoked token remains, to show that it
    existed and when it was last used.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(_("name"), max_length=100, blank=True)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    prefix = models.CharField(max_length=12, editable=False)
    scopes = models.JSONField(_("scopes"), default=every_scope)
    created_at = ClockField(auto_now_add=True)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)

    objects = TokenQuerySet.as_manager()

    class Meta:
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")

    def __str__(self) -> str:
        return self.name or self.prefix

    @staticmethod
    def digest_of(token: str) -> str:
        """Return the stored digest of a token."""
        return hashlib.sha256(token.encode()).hexdigest()

    @property
    def usable(self) -> bool:
        """Whether the token is neither expired nor revoked."""
        return self.revoked_at is None and self.expires_at > now()

    @classmethod
    def issue(
        cls, user: User, name: str = "", *, scopes: Iterable[str] = Scope.values, expires_at: datetime | None = None
    ) -> tuple["ApiToken", str]:
        """Create a token and return its row and its secret, which is never shown again. Default lifetime: a year."""
        secret = f"vst_{secrets.token_urlsafe(32)}"
        row = cls.objects.create(
            user=user,
            name=name,
            digest=cls.digest_of(secret),
            prefix=secret[:12],
            scopes=[scope for scope in Scope.values if scope in scopes],
            expires_at=expires_at or now() + TOKEN_LIFETIME,
        )
        return row, secret


class StoredAnswer(models.Model):
    """The first answer to a request with an `Idempotency-Key`. A row without a status has no answer yet.

    `key` is an HMAC of caller and key, `fingerprint` of the whole request, because requests contain phones. `scopes`
    are the scopes that the request needed, separated by spaces. A `sealed` body is encrypted, because it has a secret.
    """

    key = models.CharField(primary_key=True, max_length=64)
    fingerprint = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    body = models.TextField(default="")
    scopes = models.CharField(max_length=100, default="", db_default="")
    sealed = models.BooleanField(default=False, db_default=False)
    created_at = models.DateTimeField(default=clock.now, db_index=True)

    class Meta:
        db_table = "accounts_keptanswer"

    def __str__(self) -> str:
        return self.key


class RequestCount(models.Model):
    """The number of requests by one token or address in its latest minute, counted from the epoch."""

    key = models.CharField(primary_key=True, max_length=80)
    minute = models.BigIntegerField()
    requests = models.PositiveIntegerField()

    class Meta:
        db_table = "accounts_usage"

    def __str__(self) -> str:
        return self.key
