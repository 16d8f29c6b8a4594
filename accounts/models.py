"""User, ApiToken, and what is kept of the API's callers: answers that may be asked for again, and request counts."""

import hashlib
import re
import secrets
import unicodedata
import zoneinfo
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cache
from typing import Any, ClassVar

from django.apps import apps
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from project import clock

TOKEN_LIFETIME = timedelta(days=365)
MAX_TOKEN_LIFETIME = timedelta(days=5 * 365)

_PERSON_NAME = re.compile(r"[^\W\d_]+(?:[ '’-][^\W\d_]+)*")


def validate_person_name(name: str) -> None:
    """Refuse what is no name: letters of any script, with single spaces, hyphens and apostrophes between them."""
    # Vowel signs and accents are marks in many scripts, and marks are no letters to a regular expression.
    letters = "".join(character for character in name if not unicodedata.category(character).startswith("M"))
    if not _PERSON_NAME.fullmatch(letters):
        raise ValidationError(_("Use letters, spaces, hyphens and apostrophes only."))


@cache
def known_timezones() -> frozenset[str]:
    """Every name of the IANA time zone database, kept because reading it takes 40 ms.

    But for two that are no places: the host's own zone, which is another on each, and that of a host without any.
    """
    return frozenset(zoneinfo.available_timezones() - {"localtime", "Factory"})


def validate_timezone(name: str) -> None:
    """Refuse what the IANA time zone database does not name."""
    if name not in known_timezones():
        raise ValidationError(_("“%(name)s” is not a known time zone, like Europe/Moscow."), params={"name": name})


def default_timezone() -> str:
    """The installation's own time zone."""
    return settings.TIME_ZONE


def default_language() -> str:
    """The installation's own language."""
    return settings.LANGUAGE_CODE


class UserManager(BaseUserManager["User"]):
    """Creates users by e-mail; `createsuperuser` calls it too."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """A user with that login; without a password nobody can sign in as them."""
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """An administrator who may enter all of the Django admin; whoever makes one vouches for the address."""
        user = self.create_user(email, password, is_staff=True, is_superuser=True, **fields)
        apps.get_model("account", "EmailAddress").objects.create(
            user=user, email=user.email, primary=True, verified=True
        )
        return user

    def invited(self) -> "models.QuerySet[User]":
        """Whom an administrator has invited, and who has not accepted yet."""
        return self.filter(invited_at__isnull=False)

    def get_by_natural_key(self, username: str | None) -> "User":
        """E-mail addresses are compared without case."""
        return self.get(email=(username or "").strip().lower())


class User(AbstractBaseUser, PermissionsMixin):
    """A person who signs in by e-mail. `is_staff` makes an administrator; deleting deactivates."""

    email = models.EmailField(
        _("e-mail"), unique=True, error_messages={"unique": _("This e-mail is already registered.")}
    )
    first_name = models.CharField(_("first name"), max_length=150, blank=True, validators=[validate_person_name])
    last_name = models.CharField(_("last name"), max_length=150, blank=True, validators=[validate_person_name])
    timezone = models.CharField(_("time zone"), max_length=64, default=default_timezone, validators=[validate_timezone])
    language = models.CharField(_("language"), max_length=8, default=default_language, choices=settings.LANGUAGES)
    daily_report = models.BooleanField(_("daily report by e-mail"), default=True)
    weekly_report = models.BooleanField(_("weekly report by e-mail"), default=False)
    empty_reports = models.BooleanField(_("reports also when there is nothing to tell"), default=False)
    is_active = models.BooleanField(_("active"), default=True)
    is_staff = models.BooleanField(_("administrator"), default=False)
    date_joined = models.DateTimeField(_("joined"), default=now)
    invited_at = models.DateTimeField(_("invited"), null=True, blank=True, editable=False)

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")

    def __str__(self) -> str:
        return self.get_full_name() or self.email

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Keep the e-mail in lower case, so that it is compared without case."""
        self.email = self.email.lower()
        super().save(*args, **kwargs)

    def get_full_name(self) -> str:
        """First and last name, or nothing."""
        return f"{self.first_name} {self.last_name}".strip()

    def may_change(self, thing: Any) -> bool:
        """The one rule of ownership: who made it (`owner`), or an administrator."""
        return self.is_staff or thing.owner_id == self.pk


class SignIn(models.Model):
    """One sign-in to the pages: from where, and by what (`password`, `totp`, `recovery_codes`, `webauthn`, …)."""

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
    """Tokens by what can be done with them."""

    def usable(self) -> "TokenQuerySet":
        """Not expired, not revoked, and of a user who may still sign in."""
        return self.filter(expires_at__gt=now(), revoked_at=None, user__is_active=True)


class Scope(models.TextChoices):
    """What a token may do. `send` is for whatever makes messages leave, `write` for every other change."""

    READ = "read", _("Read")
    WRITE = "write", _("Write")
    SEND = "send", _("Send")


def every_scope() -> list[str]:
    """A token that may do all that its user may."""
    return list(Scope.values)


class ApiToken(models.Model):
    """A key to the JSON API. The token itself is shown once; the database keeps its SHA-256 only.

    A fast hash suffices, for the token holds 256 random bits that nobody can guess through. A revoked token stays as a
    row, so that it can be told later what there was and when it was last used.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(_("name"), max_length=100, blank=True)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    prefix = models.CharField(max_length=12, editable=False)
    scopes = models.JSONField(_("scopes"), default=every_scope)
    created_at = models.DateTimeField(auto_now_add=True)
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
        """What is stored of a token."""
        return hashlib.sha256(token.encode()).hexdigest()

    @property
    def usable(self) -> bool:
        """Whether it opens anything still, as far as it depends on the token."""
        return self.revoked_at is None and self.expires_at > now()

    @classmethod
    def issue(
        cls, user: User, name: str = "", *, scopes: Iterable[str] = Scope.values, expires_at: datetime | None = None
    ) -> tuple["ApiToken", str]:
        """A new token of `user`: the row, and the secret that is never seen again. It holds for a year by default."""
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


class KeptAnswer(models.Model):
    """The first answer to a request with an `Idempotency-Key`, to be given again; without a status none came yet.

    Who asked and the key make up `key`, the whole request `fingerprint`, both by HMAC: requests hold phones.
    """

    key = models.CharField(primary_key=True, max_length=64)
    fingerprint = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    body = models.TextField(default="")
    created_at = models.DateTimeField(default=clock.now, db_index=True)

    def __str__(self) -> str:
        return self.key


class Usage(models.Model):
    """How many requests one token or address made in a minute of the epoch: the latest in which there were any."""

    key = models.CharField(primary_key=True, max_length=80)
    minute = models.BigIntegerField()
    requests = models.PositiveIntegerField()

    def __str__(self) -> str:
        return self.key
