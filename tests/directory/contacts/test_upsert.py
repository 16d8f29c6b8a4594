from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from directory.contacts.upsert import Outcome, Policy, Result, contacts_upsert
from directory.models import Contact, Source, Suppression, Tag
from directory.suppression.services import suppress
from tests import factories

PHONE = "8 (999) 123-45-67"


def upsert(by: User, *rows: dict[str, Any], policy: Policy = Policy.UPDATE) -> list[Result]:
    return contacts_upsert(by=by, rows=rows, policy=policy, source=Source.API)


def outcomes(results: list[Result]) -> list[str]:
    return [result.outcome.value for result in results]


def tags_of(contact: Contact) -> list[str]:
    return [tag.name for tag in contact.tags.all()]


def there(owner: User, **fields: Any) -> Contact:
    """A contact that was changed yesterday."""
    contact = factories.contact(owner, phone=79991234567, **fields)
    Contact.objects.filter(pk=contact.pk).update(updated_at=timezone.now() - timedelta(days=1))
    contact.refresh_from_db()
    return contact


def moved(contact: Contact) -> bool:
    """Whether `updated_at` changed in the database."""
    before = contact.updated_at
    contact.refresh_from_db()
    return bool(contact.updated_at > before)


def test_new_contacts_are_stored_like_single_ones(alice: User) -> None:
    data = {
        "first_name": "  Анна   Мария ",
        "tags": ["VIP ", "vip", "новые   Клиенты"],
        "timezone": "Asia/Omsk",
        "attributes": {"points": 12, "gold": True, "город": "Омск"},
        "opted_out": True,
        "operator_code": "999",
    }
    [result] = upsert(alice, {"phone": PHONE, **data})
    contact = Contact.objects.get()
    assert (result.outcome, result.contact_id) == (Outcome.CREATED, contact.pk)
    assert (contact.phone, contact.operator_code, contact.owner) == (79991234567, "999", alice)
    assert (contact.first_name, contact.last_name, contact.timezone) == ("Анна Мария", "", "Asia/Omsk")
    assert contact.attributes == {"points": 12, "gold": True, "город": "Омск"}
    assert contact.attributes["gold"] is True
    assert tags_of(contact) == ["vip", "новые клиенты"]
    assert contact.opted_out
    assert contact.is_active
    assert timezone.now() - contact.created_at < timedelta(minutes=1)


def test_without_a_time_zone_the_phone_suggests_one(alice: User) -> None:
    upsert(alice, {"phone": "+7 423 212-34-56"})
    assert Contact.objects.get().timezone == "Asia/Vladivostok"


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({}, "phone"),
        ({"phone": "12"}, "phone"),
        ({"operator_code": "903"}, "operator_code"),
        ({"country": "KZ"}, "country"),
        ({"last_name": "<b>"}, "last_name"),
        ({"first_name": "а" * 151}, "first_name"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"tags": ["a,b"]}, "tags"),
        ({"attributes": {"two words": 1}}, "attributes"),
    ],
    ids=str,
)
def test_a_row_that_breaks_a_rule_is_rejected_alone(alice: User, row: dict[str, Any], field: str) -> None:
    row = {"phone": PHONE, **row} if row else row
    results = upsert(alice, row, {"phone": "+7 903 555-01-12"})
    assert outcomes(results) == ["rejected", "created"]
    assert set(results[0].errors) == {field}


@pytest.mark.parametrize(
    "data",
    [
        {"first_name": "Ольга"},
        {"timezone": "Asia/Omsk"},
        {"tags": ["vip"]},
        {"attributes": {"city": "Омск"}},
        {"opted_out": True},
    ],
    ids=str,
)
def test_every_change_sets_updated_at_and_is_reported(alice: User, data: dict[str, Any]) -> None:
    contact = there(alice, first_name="Анна", tags=("old",), attributes={"points": 12})
    [result] = upsert(alice, {"phone": PHONE, **data})
    assert result.outcome == Outcome.UPDATED
    assert set(result.before) | ({"tags"} if result.tagged else set()) == data.keys()
    assert moved(contact)
    assert tags_of(contact) == ["old", *data.get("tags", [])]
    assert contact.attributes == {"points": 12, **data.get("attributes", {})}
    assert contact.opted_out == data.get("opted_out", False)


def test_identical_row_changes_nothing(alice: User) -> None:
    contact = there(alice, first_name="Анна", tags=("old",), attributes={"points": 12, "gold": True})
    row = {"phone": PHONE, "first_name": "Анна ", "tags": ["OLD"], "attributes": {"points": "12", "gold": "true"}}
    assert outcomes(upsert(alice, row)) == ["unchanged"]
    assert not moved(contact)
    assert contact.attributes == {"points": 12, "gold": True}


def test_replacing_sets_tags_and_attributes_as_a_whole(alice: User) -> None:
    contact = there(alice, first_name="Анна", tags=("old", "kept"), attributes={"points": 12})
    row = {"phone": PHONE, "tags": ["kept", "new"], "attributes": {"city": "Омск"}}
    assert outcomes(upsert(alice, row, policy=Policy.REPLACE)) == ["updated"]
    assert moved(contact)
    assert (tags_of(contact), contact.attributes, contact.first_name) == (["kept", "new"], {"city": "Омск"}, "Анна")


def test_existing_contacts_can_be_skipped_or_only_tagged(alice: User) -> None:
    contact = there(alice, first_name="Анна")
    row = {"phone": PHONE, "first_name": "Ольга", "tags": ["vip"]}
    other = {"phone": "+7 903 555-01-12", "first_name": "Инна"}
    assert outcomes(upsert(alice, row, other, policy=Policy.SKIP)) == ["skipped", "created"]
    assert not moved(contact)
    assert outcomes(upsert(alice, row, other, policy=Policy.TAG)) == ["updated", "unchanged"]
    assert moved(contact)
    assert (contact.first_name, tags_of(contact)) == ("Анна", ["vip"])


def test_bulk_writes_reactivate_nobody(alice: User) -> None:
    contact = there(alice, is_active=False, opted_out=True)
    row = {"phone": PHONE, "opted_out": False, "is_active": True}
    for policy in Policy:
        assert outcomes(upsert(alice, row, policy=policy)) in (["unchanged"], ["skipped"])
    assert not moved(contact)
    assert contact.opted_out
    assert not contact.is_active


def test_only_owner_and_administrators_change_a_contact(alice: User, bob: User, admin: User) -> None:
    contact = there(alice)
    row = {"phone": PHONE, "first_name": "Анна", "tags": ["vip"]}
    assert outcomes(upsert(bob, row, row)) == ["not_owned", "not_owned"]
    assert not moved(contact)
    assert outcomes(upsert(admin, row)) == ["updated"]
    assert moved(contact)
    assert contact.owner == alice


def test_rows_with_the_same_phone_are_merged(alice: User) -> None:
    rows = [
        {"phone": PHONE, "first_name": "Анна", "tags": ["a"], "attributes": {"x": "1"}},
        {"phone": "+79991234567", "last_name": "Ким", "tags": ["b"], "attributes": {"y": "2"}},
    ]
    assert outcomes(upsert(alice, *rows, policy=Policy.SKIP)) == ["created", "duplicate"]
    assert outcomes(upsert(alice, *rows)) == ["updated", "duplicate"]
    contact = Contact.objects.get()
    assert (contact.full_name, tags_of(contact), contact.attributes) == ("Анна Ким", ["a", "b"], {"x": "1", "y": "2"})


def test_too_much_for_one_contact_is_rejected(alice: User) -> None:
    there(alice, tags=tuple(f"t{number}" for number in range(50)), attributes={f"a{n}": n for n in range(50)})
    for data in ({"tags": ["more"]}, {"attributes": {"more": "1"}}):
        [result] = upsert(alice, {"phone": PHONE, **data})
        assert (result.outcome, set(result.errors)) == (Outcome.REJECTED, set(data))
    half = [{"phone": "+79035550112", "tags": [f"{side}{n}" for n in range(30)]} for side in "ab"]
    assert outcomes(upsert(alice, *half)) == ["created", "rejected"]


def test_the_number_of_statements_does_not_grow_with_the_rows(alice: User) -> None:
    def statements(first: int, number: int) -> int:
        rows = [{"phone": str(first + n), "tags": [f"t{n % 7}"], "first_name": "Анна"} for n in range(number)]
        with CaptureQueriesContext(
            connection,
        ) as captured:
            upsert(alice, *rows)
            upsert(alice, *({**row, "first_name": "Ольга"} for row in rows))
        assert Contact.objects.filter(first_name="Ольга").count() >= number
        return len(captured)

    statements(79990000000, 7)  # the tags are new
    assert statements(79991000000, 400) == statements(79992000000, 7)


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")
@pytest.mark.django_db(transaction=True)
def test_simultaneous_writes_neither_deadlock_nor_lose_rows(alice: User) -> None:
    phones = [str(79990000000 + number) for number in range(300)]

    def run(side: int) -> None:
        order = phones if side % 2 else phones[::-1]
        try:
            for start in range(0, 300, 100):
                rows = [{"phone": phone, "tags": [f"s{side}"]} for phone in order[start : start + 200]]
                upsert(alice, *rows)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(4)))
    assert Contact.objects.count() == 300
    assert [tag.contacts.count() for tag in Tag.objects.filter(name__startswith="s")] == [300] * 4


def test_suppressed_phone_stays_opted_out_whatever_the_row_says(alice: User, bob: User) -> None:
    suppress([79991234567], by=bob)
    upsert(alice, {"phone": PHONE, "opted_out": False})
    assert Contact.objects.get().opted_out


def test_opted_out_row_is_added_to_the_suppression_list(alice: User) -> None:
    upsert(alice, {"phone": PHONE, "opted_out": True})
    assert list(Suppression.objects.values_list("phone", "source")) == [(79991234567, Source.API)]
