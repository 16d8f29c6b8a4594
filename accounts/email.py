"""The change of a user's e-mail address. Apart from forms.py, for allauth's own forms import that one."""

from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.forms import AddEmailForm
from allauth.account.models import EmailAddress
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _


class EmailForm(AddEmailForm):  # type: ignore[misc]  # allauth is not typed
    """A new address for a user, who keeps the present one until the new one is confirmed.

    Allauth would take a present address that was never confirmed for an abandoned change, and blank `User.email`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["email"].label = _("New e-mail address")
        self.fields["email"].help_text = _("We send a link to it; until you open that, the old one stays.")

    def clean_email(self) -> str:
        """As allauth, but a second factor is no reason to refuse: the present address stays until then."""
        try:
            return str(super().clean_email())
        except ValidationError as error:
            if error.code != "add_email_blocked":
                raise
            return str(get_adapter().clean_email(self.cleaned_data["email"].lower()))

    def save(self, request: HttpRequest) -> EmailAddress:
        """Replace the change that is under way, if any, and send the link."""
        EmailAddress.objects.filter(user=self.user, verified=False).exclude(email=self.user.email).delete()
        address = EmailAddress.objects.create(user=self.user, email=self.cleaned_data["email"])
        address.send_confirmation(request)
        return address
