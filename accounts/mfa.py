"""The second factor: codes, recovery codes and passkeys, as allauth keeps them and as we ask for them."""

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
from project import vault

_CODE_LIFE: Final = 30 * (1 + 2 * settings.MFA_TOTP_TOLERANCE)
"""Seconds for which a code may be right."""


_SEALED: Final = frozenset({"secret", "seed"})


class SecondFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # allauth is not typed
    """What authenticators and passkeys are told of us."""

    def encrypt(self, text: str) -> str:
        """Keys of apps and seeds of recovery codes lie sealed in the database."""
        return vault.seal(text)

    def decrypt(self, encrypted_text: str) -> str:
        """What was sealed."""
        return vault.unseal(encrypted_text)

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """The host that passkeys are bound to, under the program's name."""
        return {**super().get_public_key_credential_rp_entity(), "name": settings.MFA_TOTP_ISSUER}

    def generate_authenticator_name(self, user: User, type: str) -> str:  # noqa: A002 - allauth passes it by name
        """What a new passkey is called until its user names it."""
        number = Authenticator.objects.filter(user=user, type=type).count() + 1
        return gettext("Passkey %(number)d") % {"number": number}


class _SingleUse:
    """A code is taken once, for as long as it may be right: allauth forgets it after one step of the clock."""

    user: User
    fields: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["code"].widget.attrs["autofocus"] = True  # there is nothing else to do here

    def clean_code(self) -> str:
        """As allauth, and refused the second time."""
        code: str = super().clean_code()  # type: ignore[misc]  # of the form beside which it stands
        bare = "".join(filter(str.isalnum, code))  # allauth reads 123-456 and 123 456 as 123456
        if not cache.add(f"second-factor:{self.user.pk}:{bare}", "used", _CODE_LIFE):
            raise get_adapter().validation_error("incorrect_code")
        return code


class CodeForm(_SingleUse, AuthenticateForm):  # type: ignore[misc]
    """The code after the password."""


class CodeAgainForm(_SingleUse, ReauthenticateForm):  # type: ignore[misc]
    """The code before something that matters."""


class PasskeyForm(AddWebAuthnForm):  # type: ignore[misc]
    """A new passkey, which signs in by itself unless its user wants a second factor only."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].label = _("Name")
        self.fields["name"].help_text = _("So that you know later which one it is.")
        self.fields["passwordless"].label = _("It signs me in without a password")
        self.fields["passwordless"].initial = True
        self.fields["passwordless"].help_text = _(
            "The device asks for your finger, face or PIN. Without it the passkey serves after the password only."
        )


def code_fits(user: User, code: str) -> bool:
    """Whether that is a code of the user's app or a recovery code of theirs, which is used up by it.

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
    """Seal every secret anew under today's key, and return how many there were."""
    number = 0
    for pk in Authenticator.objects.values_list("pk", flat=True):
        with transaction.atomic():
            row = Authenticator.objects.select_for_update().filter(pk=pk).first()
            for name in _SEALED & row.data.keys() if row else ():
                row.data[name] = vault.seal(vault.unseal(row.data[name]))
                row.save(update_fields=["data"])
                number += 1
    return number
