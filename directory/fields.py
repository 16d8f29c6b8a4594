"""A contact's fields, described once.

Model, audit log, bulk writes, imports, exports, placeholders and erasure take the fields from here. What needs types or
functions is written out: the JSON schemas (`directory.api`), `ContactDetails` and the rules of values
(`directory.contacts.rules`), and the form. Tests compare these with this list.
"""

from typing import Any, Final, NamedTuple

from django.utils.translation import gettext_lazy as _
from django_stubs_ext import StrOrPromise


class ContactField(NamedTuple):
    """One field. Fields that people set are part of the version, and the audit log records their changes."""

    name: str
    label: StrOrPromise
    """Its name for people."""
    default: Any
    """The value of a contact that is added without it."""
    synonyms: str = ""
    """Words by which an import recognises its column: lower case, without spaces and signs."""
    personal: bool = False
    """Whether it says something about the person. Erasure sets it to its default."""
    placeholder: bool = False
    """Whether a campaign's text may contain it, so that no attribute may have its name."""
    derived: bool = False
    """Whether it follows from the phone, and people can't set it."""
    related: bool = False
    """Whether its values are in a table of their own."""
    in_files: bool = True
    """Whether it is one column of imports and exports, in this order."""


FIELDS: Final = (
    ContactField(
        "phone",
        _("Phone"),
        None,
        "phone телефон tel тел phonenumber номер номертелефона msisdn",
        personal=True,
        placeholder=True,
    ),
    ContactField(
        "first_name", _("First name"), "", "firstname имя givenname forename", personal=True, placeholder=True
    ),
    ContactField(
        "last_name", _("Last name"), "", "lastname фамилия surname familyname", personal=True, placeholder=True
    ),
    ContactField(
        "tags",
        _("Tags"),
        (),
        "tags tag теги тег метки метка группа группы group groups сегмент segment labels groupmembership categories "
        "категории",
        personal=True,
        related=True,
    ),
    ContactField("timezone", _("Time zone"), "", "timezone tz часовойпояс пояс", personal=True),
    ContactField(
        "operator_code", _("Operator code"), "", "operatorcode operator кодоператора def", personal=True, derived=True
    ),
    ContactField("country", _("Country"), "", "country", personal=True, derived=True),
    ContactField("line_type", _("Line type"), "", personal=True, derived=True, in_files=False),
    ContactField("attributes", _("Attributes"), {}, personal=True, in_files=False),  # each one is a column
    ContactField("opted_out", _("Opted out"), False, "optedout optout unsubscribed отписан отписка отказ"),
    ContactField("is_active", _("Active"), True, "isactive active активен"),
)

EDITABLE: Final = tuple(field.name for field in FIELDS if not field.derived)
"""What people can change."""

EDITABLE_COLUMNS: Final = tuple(field.name for field in FIELDS if not field.derived and not field.related)
"""The columns of the contact's row that people can change."""

DETAILS: Final = {
    field.name: field.default for field in FIELDS if field.name in EDITABLE_COLUMNS and field.name != "phone"
}
"""The same without the phone, by which bulk writes find the row, and with their defaults."""

DERIVED: Final = tuple(field.name for field in FIELDS if field.derived)
"""The columns that follow from the phone, see `directory.phones.derived`."""

IN_FILES: Final = {field.name: field.label for field in FIELDS if field.in_files}
"""The columns of exports and imports with their labels."""

FLAGS: Final = frozenset(field.name for field in FIELDS if isinstance(field.default, bool))
"""The fields that are either true or false."""

PLACEHOLDERS: Final = frozenset(field.name for field in FIELDS if field.placeholder)
"""The fields that a campaign's text may contain."""
