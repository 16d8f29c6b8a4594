"""The change of a user's e-mail address, and the links that confirm an address.

A module of its own, because allauth's forms import accounts/forms.py.
"""

from datetime import timedelta
from typing import Any, Final

from allauth.account.adapter import get_adapter
from allauth.account.app_settings import EMAIL_CONFIRMATION_EXPIRE_DAYS
from allauth.account.forms import AddEmailForm
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from allauth.account.views import ConfirmEmailView
from django.core import signing
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest
from django.utils.translation import gettext_lazy as _

_SALT: Final = "accounts.email"
_MAX_AGE: Final = timedelta(days=EMAIL_CONFIRMATION_EXPIRE_DAYS)


class AddressLink(EmailConfirmationHMAC):  # type: ignore[misc]  # allauth is not typed
    """The link that confirms an address.

    Allauth signs only the address's id. This link is also bound to the login, the password and the security stamp, so a
    change of any of them ends it.
    """

    @property
    def key(self) -> str:
        """The signed part of the link."""
        user = self.email_address.user
        bound_to = [self.email_address.email, user.email, user.get_session_auth_hash()]
        return signing.dumps([self.email_address.pk, *bound_to], salt=_SALT)

    @classmethod
    def from_key(cls, key: str) -> "AddressLink | None":
        """Return the link, or None if it is forged, expired, used or no longer valid."""
        try:
            pk, email, login, access_hash = signing.loads(key, salt=_SALT, max_age=_MAX_AGE)
        except signing.BadSignature:
            return None
        rows = EmailAddress.objects.select_related("user")
        address = rows.filter(pk=pk, email=email, user__email=login, verified=False).first()
        return cls(address) if address and address.user.matches_access_hash(access_hash) else None


class ConfirmAddressView(ConfirmEmailView):  # type: ignore[misc]
    """Allauth's page, for our links."""

    def get_object(self, queryset: object = None) -> AddressLink:
        """Return the link of the URL."""
        link = AddressLink.from_key(self.kwargs["key"])
        if link is None:
            raise Http404
        return link


class EmailForm(AddEmailForm):  # type: ignore[misc]  # allauth is not typed
    """A new address. The user keeps the present one until the new one is confirmed.

    Allauth would treat an unconfirmed present address as an abandoned change and clear `User.email`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["email"].label = _("New e-mail address")
        self.fields["email"].help_text = _(
            "We will send a confirmation link to this address. Your current address stays in use until you open "
            "the link."
        )

    def clean_email(self) -> str:
        """Like allauth, but accept users with a second factor: the present address stays until confirmation."""
        try:
            return str(super().clean_email())
        except ValidationError as error:
            if error.code != "add_email_blocked":
                raise
            return str(get_adapter().clean_email(self.cleaned_data["email"].lower()))

    def save(self, request: HttpRequest) -> EmailAddress:
        """Replace a pending change, and send the link."""
        EmailAddress.objects.filter(user=self.user, verified=False).exclude(email=self.user.email).delete()
        address = EmailAddress.objects.create(user=self.user, email=self.cleaned_data["email"])
        address.send_confirmation(request)
        return address
