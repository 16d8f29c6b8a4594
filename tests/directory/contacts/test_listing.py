from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from accounts.models import User
from directory.contacts.listing import contacts_page, count_or_estimate, distinct_values
from directory.models import Contact
from tests import factories


@pytest.fixture
def directory(alice: User, bob: User) -> None:
    for number, name in enumerate(("вера", "Анна", "Boris", "анна", "adam", "Анна", "Ёлка")):
        row = factories.contact(
            bob if number % 2 else alice, first_name=name, phone=79990000000 + 37 * number % 100, tags=("vip",)
        )
        moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number // 3)
        Contact.objects.filter(pk=row.pk).update(updated_at=moment, created_at=moment)


def walked(limit: int = 2, **asked: Any) -> list[Contact]:
    """The rows of all pages, in order."""
    found: list[Contact] = []
    filters, cursor = asked.pop("filters", {}), ""
    number = count_or_estimate(Contact.objects.narrow(**filters))
    while True:
        page = contacts_page(filters, number, cursor=cursor, limit=limit, **asked)
        found += page.items
        if page.next is None:
            return found
        cursor = page.next


@pytest.mark.usefixtures("directory")
@pytest.mark.parametrize(
    ("sort", "order"),
    [("newest", ["-pk"]), ("name", ["search"]), ("phone", ["phone"]), ("changed", ["-updated_at", "-pk"])],
)
@pytest.mark.parametrize("filters", [{}, {"tags": ["vip"]}, {"added_from": datetime(2026, 1, 1, tzinfo=UTC)}], ids=str)
def test_the_pages_of_each_order_hold_every_contact_once(sort: str, order: list[str], filters: dict[str, Any]) -> None:
    assert walked(sort=sort, filters=filters) == list(Contact.objects.order_by(*order))


@pytest.mark.usefixtures("directory")
def test_names_are_sorted_without_regard_to_case() -> None:
    names = [contact.first_name for contact in walked(sort="name")]
    assert names[:2] == ["adam", "Boris"]


READABLE = {("name", '"a"'), *((sort, "5") for sort in ("newest", "phone", "nonsense"))}


@pytest.mark.usefixtures("directory")
@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "[]",
        "[1,2,3]",
        '"a"',
        "null",
        "{}",
        '"\\u0000"',
        "[" * 900,
        "99999999999999999999",
        "5",
    ],
)
@pytest.mark.parametrize("sort", ["newest", "name", "phone", "changed", "nonsense"])
def test_a_cursor_that_cannot_be_read_means_the_first_page(cursor: str, sort: str) -> None:
    first = contacts_page({}, count_or_estimate(Contact.objects.all()), sort=sort, limit=3)
    page = contacts_page({}, count_or_estimate(Contact.objects.all()), sort=sort, cursor=cursor, limit=3)
    assert len(page.items) <= 3
    if (sort, cursor) not in READABLE:
        assert page.items == first.items


@pytest.mark.usefixtures("directory")
@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"tags": ["vip", "nobody"]}, 7),
        ({"tags": ["nobody"]}, 0),
        ({"q": "АНН"}, 3),
        ({"q": "ан"}, 3),
        ({"q": "нн"}, 0),
        ({"q": "ёл"}, 1),
        ({"added_from": datetime(2026, 1, 2, tzinfo=UTC)}, 4),
        ({"added_before": datetime(2026, 1, 2, tzinfo=UTC)}, 3),
        ({"added_from": "2026-01-02T00:00:00Z", "added_before": "2026-01-03T00:00:00Z"}, 3),
    ],
    ids=str,
)
def test_filters_narrow_and_are_counted(filters: dict[str, Any], names: int) -> None:
    number = count_or_estimate(Contact.objects.narrow(**filters))
    assert (number.value, number.exact) == (names, True)
    assert len(walked(filters=filters)) == names


def test_filter_by_owner(alice: User, bob: User) -> None:
    mine = factories.contact(alice)
    factories.contact(bob)
    assert list(Contact.objects.narrow(owner=alice.pk)) == [mine]


def test_distinct_values_are_read_once_each(alice: User) -> None:
    for zone in ("Asia/Omsk", "Europe/Moscow", "Asia/Omsk"):
        factories.contact(alice, timezone=zone)
    assert distinct_values("timezone") == ["Asia/Omsk", "Europe/Moscow"]
    factories.contact(alice, phone=491701234567, operator_code="")
    assert "" not in distinct_values("operator_code")
    Contact.objects.all().delete()
    assert distinct_values("timezone") == []


@pytest.mark.parametrize("text", ["%", "_", "!", "% _", "*", "\\", "?", "Anna %", "12 !", "()", "+", "-", "'", "№"])
def test_punctuation_matches_no_contact(alice: User, text: str) -> None:
    factories.contact(alice, phone=79991234567, first_name="Anna")
    assert not Contact.objects.narrow(q=text).exists()


@pytest.mark.parametrize("text", ["Anna", "an", "999 123-45", "+7 (999) 123 - 45 - 67", "Anna 4567", "8999"])
def test_letters_and_phones_are_found(alice: User, text: str) -> None:
    factories.contact(alice, phone=79991234567, first_name="Anna")
    assert Contact.objects.narrow(q=text).exists()
