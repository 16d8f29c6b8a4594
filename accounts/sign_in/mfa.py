"""Second factors: authenticator codes, recovery codes and passkeys, on top of allauth."""

from typing import Any, Final

from allauth.mfa.adapter import DefaultMFAAdapter, get_adapter
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.forms import AddWebAuthnForm
from django.conf import settings
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from project.core import sealed_secrets

_CODE_LIFETIME: Final = 30 * (1 + 2 * settings.MFA_TOTP_TOLERANCE)
"""Seconds for which a code can be valid."""


_SEALED_FIELDS: Final = frozenset({"secret", "seed"})


class SecondFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # allauth is not typed
    """Seals keys, and sets the names that authenticators and passkeys show."""

    def encrypt(self, text: str) -> str:
        """Seal keys of authenticator apps and seeds of recovery codes."""
        return sealed_secrets.seal(text)

    def decrypt(self, encrypted_text: str) -> str:
        """Open a sealed value."""
        return sealed_secrets.unseal(encrypted_text)

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """Return the host that passkeys are bound to, and the program's name."""
        return {**super().get_public_key_credential_rp_entity(), "name": settings.MFA_TOTP_ISSUER}

    def generate_authenticator_name(self, user: User, type: str) -> str:  # noqa: A002 - allauth passes it by name
        """Return the name of a new passkey until its user names it."""
        number = Authenticator.objects.filter(user=user, type=type).count() + 1
        return gettext("Passkey %(number)d") % {"number": number}


class _SingleUse:
    """Mixin: accept a code once for as long as it can be valid. allauth forgets a code after one time step."""

    user: User
    fields: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["code"].widget.attrs["autofocus"] = True  # the only input

    def clean_code(self) -> str:
        """Like allauth, but refuse a code the second time."""
        code: str = super().clean_code()  # type: ignore[misc]  # defined by the form that uses this mixin
        digits = "".join(filter(str.isalnum, code))  # allauth reads 123-456 and 123 456 as 123456
        if not cache.add(f"second-factor:{self.user.pk}:{digits}", "used", _CODE_LIFETIME):
            raise get_adapter().validation_error("incorrect_code")
        return code


class CodeForm(_SingleUse, AuthenticateForm):  # type: ignore[misc]
    """The code after the password."""


class ReauthenticationCodeForm(_SingleUse, ReauthenticateForm):  # type: ignore[misc]
    """The code before a sensitive action."""


class PasskeyForm(AddWebAuthnForm):  # type: ignore[misc]
    """A new passkey. It replaces the password unless its user wants it only as a second factor."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].label = _("Name")
        self.fields["name"].help_text = _("Helps you tell your passkeys apart.")
        self.fields["passwordless"].label = _("Sign in without a password")
        self.fields["passwordless"].initial = True
        self.fields["passwordless"].help_text = _(
            "Your device will ask for your fingerprint, face or PIN. If this is off, the passkey only works as a "
            "second factor after the password."
        )


def code_matches(user: User, code: str) -> bool:
    """Whether this is a code of the user's app or one of their recovery codes, which it uses up.

    Raises ValidationError with the code `too_many_login_attempts` after too many wrong ones.
    """
    form = CodeForm(user=user, data={"code": code})
    if form.is_valid():
        form.authenticator.record_usage()
        return True
    for error in form.errors.as_data().get("code", []):
        if error.code == "too_many_login_attempts":
            raise ValidationError(error.message, error.code)
    return False


def reseal() -> int:
    """Seal every secret again with the current key, and return their number."""
    number = 0
    for pk in Authenticator.objects.values_list("pk", flat=True):
        with transaction.atomic():
            row = Authenticator.objects.select_for_update().filter(pk=pk).first()
            for name in _SEALED_FIELDS & row.data.keys() if row else ():
                row.data[name] = sealed_secrets.seal(sealed_secrets.unseal(row.data[name]))
                row.save(update_fields=["data"])
                number += 1
    return number
