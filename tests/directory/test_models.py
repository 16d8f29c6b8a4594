import pytest

from accounts.models import User
from directory.audiences.audience import Audience
from directory.models import Contact
from tests import factories


@pytest.fixture
def directory(alice: User) -> None:
    factories.contact(alice, first_name="Anna", phone=79031110001, tags=("vip", "loyal"), timezone="Asia/Omsk")
    factories.contact(alice, first_name="Boris", phone=79031110002, tags=("vip",), timezone="Europe/Moscow")
    factories.contact(alice, first_name="Vera", phone=79051110003, tags=("new",), timezone="Europe/Moscow")
    factories.contact(alice, first_name="Gleb", phone=79051110004, timezone="Europe/Samara")


def names(found: "object") -> list[str]:
    return sorted(contact.first_name for contact in found)  # type: ignore[attr-defined]


@pytest.mark.usefixtures("directory")
@pytest.mark.parametrize(
    ("audience", "expected"),
    [
        ({}, ["Anna", "Boris", "Gleb", "Vera"]),
        ({"tags": [], "operator_codes": [], "timezones": []}, ["Anna", "Boris", "Gleb", "Vera"]),
        ({"tags": ["vip", "new"]}, ["Anna", "Boris", "Vera"]),
        ({"tags": ["vip", "new"], "tags_match": "any"}, ["Anna", "Boris", "Vera"]),
        ({"tags": ["vip", "loyal"], "tags_match": "all"}, ["Anna"]),
        ({"tags": [" VIP", "Loyal"], "tags_match": "all"}, ["Anna"]),
        ({"tags": ["vip", "new"], "tags_match": "all"}, []),
        ({"tags": ["nobody"]}, []),
        ({"operator_codes": ["905"]}, ["Gleb", "Vera"]),
        ({"operator_codes": ["903", "905"], "timezones": ["Europe/Moscow"]}, ["Boris", "Vera"]),
        ({"operator_codes": ["903"], "timezones": ["Europe/Moscow", "Asia/Omsk"], "tags": ["loyal"]}, ["Anna"]),
        ({"timezones": ["Europe/Samara"]}, ["Gleb"]),
    ],
    ids=str,
)
def test_audience_selects_contacts_that_meet_every_condition(audience: dict[str, object], expected: list[str]) -> None:
    assert names(Contact.objects.matching(Audience.from_json(audience))) == expected


def test_equal_audiences_compare_equal() -> None:
    one = Audience.from_json({"tags": ["b", "A", "a "], "operator_codes": ["905", "903"]})
    two = Audience.from_json({"tags": ["a", "b"], "operator_codes": ["903", "905", "903"], "tags_match": "any"})
    assert one == two == Audience.from_json(one.to_json())


def test_opted_out_and_deactivated_contacts_are_not_contactable(alice: User) -> None:
    factories.contact(alice, opted_out=True)
    factories.contact(alice, is_active=False)
    reachable = factories.contact(alice)
    assert list(Contact.objects.contactable()) == [reachable]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("иван", ["Иван"]),
        ("ИВАН пет", ["Иван"]),
        ("петров ольга", []),
        ("o'b", ["Sean"]),
        ("999 123", ["Иван"]),
        ("+7 (999) 123", ["Иван"]),
        ("8 999 123-45-67", ["Иван"]),
        ("Иван 999", ["Иван"]),
        ("Sean 999", []),
        (".*", []),
        ("a|b", []),
        ("%", []),
    ],
)
def test_search_matches_words_of_the_name_and_digits_of_the_phone(alice: User, text: str, expected: list[str]) -> None:
    factories.contact(alice, first_name="Иван", last_name="Петров", phone=79991234567)
    factories.contact(alice, first_name="Sean", last_name="O'Brien", phone=79035550112)
    assert names(Contact.objects.search(text)) == expected
