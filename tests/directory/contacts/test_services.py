from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from django.utils import timezone

from accounts.models import User
from directory.contacts.services import contact_create, contact_deactivate, contact_update
from directory.models import Contact, Tag
from project.http.errors import Conflict
from tests import factories


def tags_of(contact: Contact) -> list[str]:
    return [tag.name for tag in contact.tags.all()]


def aged(contact: Contact) -> Contact:
    Contact.objects.filter(pk=contact.pk).update(updated_at=timezone.now() - timedelta(days=1))
    contact.refresh_from_db()
    return contact


def test_contact_is_stored_normalised(alice: User) -> None:
    contact = contact_create(
        owner=alice,
        phone="8 (999) 123-45-67",
        first_name="  Анна   Мария ",
        last_name="O’Hara-Петрова",
        tags=["VIP ", "vip", "новые   Клиенты"],
        timezone="Asia/Omsk",
        attributes={"points": 12, "город": "Омск", "gold": True},
        operator_code="999",
    )
    contact.refresh_from_db()
    assert contact.phone == 79991234567
    assert contact.operator_code == "999"
    assert contact.full_name == "Анна Мария O’Hara-Петрова"
    assert tags_of(contact) == ["vip", "новые клиенты"]
    assert contact.attributes == {"points": 12, "город": "Омск", "gold": True}
    assert contact.owner == alice
    assert contact.is_active
    assert not contact.opted_out


@pytest.mark.parametrize(
    "name", ["Ёлка", "Nguyễn", "Jose\u0301", "नीरज", "สมชาย", "محمد", "李", "d'Artagnan", "Жан-Поль"]
)
def test_names_of_any_script_are_accepted(alice: User, name: str) -> None:
    assert contact_create(owner=alice, phone="+7 999 123-45-67", first_name=name).full_name


@pytest.mark.parametrize(
    "name", ["Ivan2", "a_b", "-Ivan", "Ivan-", "a--b", "<b>", "Ivan;", "🙂", "\u0301", "http://x", "a\nb\0"]
)
def test_invalid_names_are_refused(alice: User, name: str) -> None:
    with pytest.raises(ValidationError, match="letters"):
        contact_create(owner=alice, phone="+7 999 123-45-67", last_name=name)


def test_without_a_time_zone_the_phone_suggests_one(alice: User) -> None:
    assert contact_create(owner=alice, phone="+7 423 212-34-56").timezone == "Asia/Vladivostok"
    assert contact_create(owner=alice, phone="+7 999 123-45-67", timezone="").timezone == settings.TIME_ZONE


def test_a_phone_belongs_to_one_contact(alice: User, bob: User) -> None:
    contact_create(owner=alice, phone="+7 999 123-45-67")
    with pytest.raises(Conflict):
        contact_create(owner=bob, phone="89991234567", tags=["lost"])
    assert not Tag.objects.exists()
    other = contact_create(owner=bob, phone="+7 999 123-45-68")
    with pytest.raises(Conflict):
        contact_update(contact=other, by=bob, phone="89991234567")


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"phone": "12"}, {"phone"}),
        ({"phone": "12", "operator_code": "999", "first_name": "<b>", "timezone": None}, {"phone", "first_name"}),
        ({"operator_code": "903"}, {"operator_code"}),
        ({"country": "KZ"}, {"country"}),
        ({"first_name": "Ivan2", "last_name": "\0"}, {"first_name", "last_name"}),
        ({"first_name": "а" * 151}, {"first_name"}),
        ({"timezone": "Mars/Olympus"}, {"timezone"}),
        ({"tags": ["x" * 51]}, {"tags"}),
        ({"tags": ["a\0"]}, {"tags"}),
        ({"tags": ["\ud800"]}, {"tags"}),
        ({"tags": [" "]}, {"tags"}),
        ({"tags": ["a,b"]}, {"tags"}),
        ({"tags": [f"t{n}" for n in range(51)]}, {"tags"}),
        ({"attributes": {"two words": 1}}, {"attributes"}),
        ({"attributes": {"1st": 1}}, {"attributes"}),
        ({"attributes": {"phone": 1}}, {"attributes"}),
        ({"attributes": {"a": None}}, {"attributes"}),
        ({"attributes": {"a": {"b": 1}}}, {"attributes"}),
        ({"attributes": {"a": float("nan")}}, {"attributes"}),
        ({"attributes": {"a": 10**5000}}, {"attributes"}),
        ({"attributes": {"a": "\0"}}, {"attributes"}),
        ({"attributes": {"a": "\udfff"}}, {"attributes"}),
        ({"attributes": {"a": "x" * 501}}, {"attributes"}),
        ({"attributes": {f"a{n}": n for n in range(51)}}, {"attributes"}),
        ({"attributes": []}, {"attributes"}),
    ],
    ids=range(25),
)
def test_every_invalid_field_is_named(alice: User, fields: dict[str, Any], names: set[str]) -> None:
    with pytest.raises(ValidationError) as refusal:
        contact_create(owner=alice, **{"phone": "+7 999 123-45-67", **fields})
    assert set(refusal.value.message_dict) == names
    assert not Contact.objects.exists()


def test_update_changes_only_the_given_fields(alice: User) -> None:
    contact = factories.contact(alice, tags=("a", "b"), first_name="Ivan", attributes={"x": 1}, timezone="Asia/Omsk")
    stale = Contact.objects.get(pk=contact.pk)
    contact_update(contact=contact, by=alice, last_name="Petrov")
    changed = contact_update(contact=stale, by=alice, tags=["c"])
    assert (changed.first_name, changed.last_name, changed.timezone) == ("Ivan", "Petrov", "Asia/Omsk")
    assert changed.attributes == {"x": 1}
    assert tags_of(changed) == ["c"]


def test_new_phone_updates_the_operator_code(alice: User) -> None:
    contact = contact_update(contact=factories.contact(alice), by=alice, phone="+7 903 555-01-12")
    assert contact.operator_code == "903"
    with pytest.raises(ValidationError):
        contact_update(contact=contact, by=alice, operator_code="999")


@pytest.mark.parametrize(
    "change",
    [{"tags": ["vip"]}, {"tags": []}, {"timezone": "Asia/Omsk"}, {"phone": "89035550112"}, {"opted_out": False}],
    ids=str,
)
def test_every_change_sets_updated_at(alice: User, change: Any) -> None:
    contact = aged(factories.contact(alice, tags=("old",), opted_out=True))
    before = contact.updated_at
    contact_update(contact=contact, by=alice, **change)
    contact.refresh_from_db()
    assert contact.updated_at > before


def test_only_owner_and_administrators_change_a_contact(alice: User, bob: User, admin: User) -> None:
    contact = factories.contact(alice)
    with pytest.raises(PermissionDenied):
        contact_update(contact=contact, by=bob, first_name="Bob")
    with pytest.raises(PermissionDenied):
        contact_deactivate(contact=contact, by=bob)
    assert contact_update(contact=contact, by=admin, first_name="Anna").first_name == "Anna"


def test_deactivated_contact_is_in_no_audience_until_reactivated(alice: User) -> None:
    contact = aged(factories.contact(alice))
    before = contact.updated_at
    assert contact_deactivate(contact=contact, by=alice).updated_at > before
    assert not Contact.objects.contactable().exists()
    contact_update(contact=contact, by=alice, is_active=True)
    assert Contact.objects.contactable().get() == contact
