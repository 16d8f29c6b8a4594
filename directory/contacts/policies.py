"""Who may change a contact: the user who added it, and administrators. Nobody changes an erased contact.

The same rule as a question, as a check and as filters.
"""

from typing import Any

from django.db.models import Q
from django.utils.translation import gettext as _

from accounts import policies
from project.http.errors import Conflict


def may_change_contact(user: Any, contact: Any) -> bool:
    """Whether the user may change the contact."""
    return may_change_contact_of(user, owner_id=contact.owner_id, phone=contact.phone)


def may_change_contact_of(user: Any, *, owner_id: int, phone: int) -> bool:
    """Whether the user may change a contact with this owner and phone. For rows that are not loaded as models."""
    return phone > 0 and policies.may_change_rows_of(user, owner_id)


def check_may_change_contact(user: Any, contact: Any) -> None:
    """Raise PermissionDenied if another user added the contact, and Conflict if it is erased."""
    policies.check_may_change(user, contact)
    if contact.erased:
        raise Conflict(_("This contact was erased. Add it as a new contact."))


def changeable_contacts(user: Any) -> Q:
    """Return a filter for the contacts that the user may change."""
    return Q(phone__gt=0) & policies.changeable_by(user)


def unchangeable_contacts(user: Any) -> Q:
    """Return a filter for the other contacts. Unlike a negation, it uses indexes if they are few."""
    return Q(phone__lt=0) | ~policies.changeable_by(user)
