"""What is stored about a person (GDPR, article 15). Other apps add sections through `collect_contact_data`."""

from typing import Any, Final

from auditlog.models import LogEntry
from django.dispatch import Signal

from accounts.models import User
from directory.contacts.policies import check_may_change_contact
from directory.models import Contact, LastContacted, Suppression

collect_contact_data: Final = Signal()
"""Sent with `contact`. A receiver returns sections by name, each a list of rows."""


def contact_data(*, contact: Contact, by: User) -> dict[str, Any]:
    """Return all sections. PermissionDenied unless `by` may change the contact, and Conflict if it is erased."""
    check_may_change_contact(by, contact)
    entries = LogEntry.objects.get_for_object(contact).select_related("content_type").order_by("-pk")
    sections: dict[str, Any] = {
        "suppression": Suppression.objects.filter(phone=contact.phone).first(),
        "last_contacted_at": LastContacted.objects.filter(contact=contact).values_list("at", flat=True).first(),
        "changes": list(entries),
    }
    more: Any
    for _receiver, more in collect_contact_data.send(Contact, contact=contact):
        sections |= more
    return sections
