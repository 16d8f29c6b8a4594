"""Every place that must know a contact's fields knows those of `directory.fields`."""

from typing import Any

import pytest
from auditlog.registry import auditlog

from accounts.models import User, default_timezone
from campaigns.text import values_of
from directory.api import ContactDetails as DetailsSchema
from directory.api import ContactIn, ContactOut, ContactPatch
from directory.contacts.erasure import contact_erase
from directory.contacts.forms import ContactForm
from directory.contacts.rules import _CLEAN, ContactDetails
from directory.exports.contacts import header
from directory.fields import DERIVED, DETAILS, EDITABLE, FIELDS, IN_FILES, PLACEHOLDERS
from directory.imports.guesses import guess
from directory.models import Contact
from directory.phones import derived
from tests import factories

NAMES = {field.name for field in FIELDS}
OF_THE_ROW = {"id", "owner", "created_at", "updated_at"}
"""Columns that say who added a contact and when."""
COMPUTED = {"search"}
READ_ONLY = {"line_type"}
"""Derived fields that are not accepted for comparison."""
BY_BUTTON = {"is_active"}
"""Fields that a page sets by a button instead of the form."""


def test_every_column_is_declared() -> None:
    columns = {field.name for field in Contact._meta.get_fields() if field.concrete}
    assert columns == NAMES | OF_THE_ROW | COMPUTED


def test_defaults_are_those_of_the_model() -> None:
    for name, default in DETAILS.items():
        field: Any = Contact._meta.get_field(name)
        # An empty time zone means that of the phone.
        assert default == ("" if name == "timezone" else field.get_default()), name


def test_every_field_has_a_rule_and_an_input() -> None:
    assert set(_CLEAN) == NAMES - READ_ONLY
    assert set(ContactDetails.__annotations__) == NAMES - READ_ONLY - {"phone"}
    assert set(ContactForm.base_fields) == set(EDITABLE) - BY_BUTTON


def test_the_api_has_every_field() -> None:
    assert set(DetailsSchema.model_fields) == NAMES - READ_ONLY - {"phone", "is_active"}
    assert set(ContactIn.model_fields) == NAMES - READ_ONLY - {"is_active"}
    assert set(ContactPatch.model_fields) - {"version"} == NAMES - READ_ONLY
    assert set(ContactOut.model_fields) == NAMES | OF_THE_ROW | {"version"}


def test_the_audit_log_records_every_field() -> None:
    registered = auditlog._registry[Contact]
    assert {*registered["include_fields"], *registered["m2m_fields"]} == set(EDITABLE)


def test_an_import_recognises_every_column_of_an_export() -> None:
    assert guess(header([])) == list(IN_FILES)


def test_the_phone_gives_every_derived_field() -> None:
    assert set(derived(79161234567)) == set(DERIVED)


def test_synonyms_are_distinct() -> None:
    words = [word for field in FIELDS for word in field.synonyms.split()]
    assert len(words) == len(set(words))
    assert all(guess([word]) == [field.name] for field in FIELDS for word in field.synonyms.split())


def test_every_placeholder_has_a_value() -> None:
    assert set(values_of(first_name="", last_name="", phone=7, attributes={})) == PLACEHOLDERS


@pytest.mark.django_db
def test_no_personal_field_is_left_after_erasure(alice: User) -> None:
    values: dict[str, Any] = {
        "phone": 79161234567,
        "operator_code": "916",
        "country": "RU",
        "line_type": "mobile",
        "first_name": "Ипполит",
        "last_name": "Воробьянинов",
        "timezone": "Asia/Omsk",
        "attributes": {"city": "Старгород"},
    }
    contact = factories.contact(alice, **values, tags=("vip",))
    contact_erase(contact=contact, by=alice)
    contact.refresh_from_db()
    personal = {field.name: field.default for field in FIELDS if field.personal}
    assert personal.keys() == values.keys() | {"tags"}
    left = {name: getattr(contact, name) for name in values} | {"tags": tuple(contact.tags.all())}
    assert left == personal | {"phone": -contact.pk, "timezone": default_timezone()}
