"""The change of a user's e-mail address. Apart from forms.py, for allauth's own forms import that one."""

from allauth.account.forms import AddEmailForm
from allauth.account.models import EmailAddress
from django.http import HttpRequest


class EmailForm(AddEmailForm):  # type: ignore[misc]  # allauth is not typed
    """A new address for a user, who keeps the present one until the new one is confirmed.

    Allauth would take a present address that was never confirmed for an abandoned change, and blank `User.email`.
    """

    def save(self, request: HttpRequest) -> EmailAddress:
        """Replace the change that is under way, if any, and send the link."""
        EmailAddress.objects.filter(user=self.user, verified=False).exclude(email=self.user.email).delete()
        address = EmailAddress.objects.create(user=self.user, email=self.cleaned_data["email"])
        address.send_confirmation(request)
        return address
