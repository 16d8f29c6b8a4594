"""Sender names: how they are entered, and which one a message gets."""

import pytest
from django.core.exceptions import ValidationError

from campaigns.gateways.senders import Sender, Senders, lines_of, read

RUSSIAN, KAZAKH, GERMAN = 79161234567, 77011234567, 4915112345678


def rows(text: str) -> list[dict[str, object]]:
    return [sender.to_json() for sender in read(text)]


def test_one_sender_per_line_with_its_countries() -> None:
    assert read(" Vestnik : kz, RU\r\n\n+12025550123:US\n12345\nO'Neil & Co") == [
        Sender("Vestnik", ("KZ", "RU")),
        Sender("+12025550123", ("US",)),
        Sender("12345"),
        Sender("O'Neil & Co"),
    ]
    assert read("") == read(" \n ") == []


def test_what_is_stored_reads_back_the_same() -> None:
    stored = rows("Vestnik: RU; KZ\n12345")
    assert lines_of(stored) == "Vestnik: KZ, RU\n12345"
    assert rows(lines_of(stored)) == stored


@pytest.mark.parametrize("name", ["Shop", "A-1", "24.kz", "M&M's", "a b", "X_1", "123", "12345678", "+79161234567"])
def test_names_numbers_and_short_codes_are_accepted(name: str) -> None:
    assert read(name) == [Sender(name)]


@pytest.mark.parametrize(
    "name",
    ["ab", "TwelveChars1", "Вестник", "Shop!", "--.", "12", "+12", "+0123456789", "1234567890123456", "a\tb", ": RU"],
)
def test_anything_else_is_refused_with_its_line(name: str) -> None:
    with pytest.raises(ValidationError, match="Line 2, “") as refused:
        read(f"Vestnik\n{name}")
    assert len(refused.value.messages) == 1


def test_each_wrong_line_is_named() -> None:
    with pytest.raises(ValidationError) as refused:
        read("Shop: RU, Narnia\nVestnik\nx\nVestnik: KZ\n79161234567\n+79161234567")
    numbers, problems = zip(*(message.split(", ", 1) for message in refused.value.messages), strict=True)
    assert numbers == ("Line 1", "Line 3", "Line 4", "Line 6")
    assert "“NARNIA” is not a country code" in problems[0]
    assert "already in the list" in problems[2]
    assert "already in the list" in problems[3]


def test_there_is_a_limit() -> None:
    assert len(read("\n".join(f"Shop {n}" for n in range(100)))) == 100
    with pytest.raises(ValidationError, match="at most 100"):
        read("\n".join(f"Shop {n}" for n in range(101)))


class TestWhichSender:
    def test_the_wanted_one_where_it_is_allowed(self) -> None:
        senders = Senders(rows("Shop\nVestnik: RU"))
        assert senders.sender_of(RUSSIAN, "Vestnik") == "Vestnik"
        assert senders.sender_of(KAZAKH, "Vestnik") == "Shop"
        assert senders.sender_of(RUSSIAN, "Unknown") == "Shop"

    def test_else_the_first_one_of_the_country(self) -> None:
        senders = Senders(rows("Vestnik: RU\nShop: RU, KZ"))
        assert [senders.sender_of(phone, "") for phone in (RUSSIAN, KAZAKH, GERMAN)] == ["Vestnik", "Shop", ""]

    def test_none_without_names(self) -> None:
        assert not Senders()
        assert Senders().sender_of(RUSSIAN, "Vestnik") == ""

    def test_allowed_in_a_country_or_anywhere(self) -> None:
        senders = Senders(rows("Vestnik: RU\nShop"))
        assert senders.allows("Vestnik")
        assert senders.allows("Vestnik", "RU")
        assert not senders.allows("Vestnik", "KZ")
        assert senders.allows("Shop", "KZ")
        assert not senders.allows("vestnik")
