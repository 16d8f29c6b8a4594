"""Contacts that lack what follows from their phone get it, without looking changed."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from campaigns.tasks import sweep
from directory.contacts import derivation
from directory.contacts.derivation import derive_missing
from directory.contacts.erasure import contact_erase
from directory.models import NOT_DERIVED, Contact
from tests import factories
from tests.conftest import ApiClient

UNASSIGNED = 79001  # as a number that was valid once


def an_old_directory(owner: User) -> dict[int, tuple[str, str, str]]:
    """Contacts as the former release wrote them, and what follows from their phones."""
    derived = {
        79161234567: ("916", "RU", "mobile"),
        77011234567: ("701", "KZ", "mobile"),
        74951234567: ("495", "RU", "fixed"),
        78005553535: ("800", "RU", "toll_free"),
        380501234567: ("", "UA", "mobile"),
        14155552671: ("", "US", "mobile"),
        UNASSIGNED: ("", "", "other"),
    }
    for phone in derived:
        factories.contact(owner, phone=phone)
    contact_erase(contact=factories.contact(owner), by=owner)
    Contact.objects.update(country="", line_type="")
    return derived


def stored() -> dict[int, tuple[str, str, str]]:
    rows = Contact.objects.filter(phone__gt=0).values_list("phone", "operator_code", "country", "line_type")
    return {phone: (operator_code, country, line_type) for phone, operator_code, country, line_type in rows}


def test_the_sweep_fills_in_old_contacts_once(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derivation, "_BATCH", 3)
    derived = an_old_directory(alice)
    changed = dict(Contact.objects.values_list("pk", "updated_at"))
    with CaptureQueriesContext(connection) as queries:
        sweep()
    assert stored() == derived
    assert sum("UPDATE directory_contact SET" in query["sql"] for query in queries) == 3
    assert dict(Contact.objects.values_list("pk", "updated_at")) == changed
    assert not Contact.objects.filter(NOT_DERIVED).exists()
    assert set(Contact.objects.filter(phone__lt=0).values_list("country", "line_type")) == {("", "")}


def test_the_api_does_not_wait_for_it(alice: User) -> None:
    contact = factories.contact(alice, phone=77011234567)
    Contact.objects.update(country="", line_type="")
    body = ApiClient(alice).get(f"/contacts/{contact.pk}").json()
    assert (body["country"], body["line_type"]) == ("KZ", "mobile")


def test_it_stops_in_time_and_continues(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derivation, "_BATCH", 1)
    monkeypatch.setattr(derivation, "_SESSION_SECONDS", -1.0)
    derived = an_old_directory(alice)
    for done in range(1, len(derived) + 1):
        derive_missing()
        assert Contact.objects.filter(NOT_DERIVED).count() == len(derived) - done
    assert stored() == derived
