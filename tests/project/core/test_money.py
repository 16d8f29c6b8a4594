"""Amounts of money."""

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.utils.translation import override
from pytest_django import Settings

from project.core.money import MoneyField, from_micros, money, price, to_micros


@pytest.mark.parametrize(
    ("amount", "shown"), [("0", "0.00"), ("1.5", "1.50"), ("0.0075", "0.0075"), ("12300", "12300.00"), ("-2", "-2.00")]
)
def test_amounts_are_exact_and_have_the_places_of_the_currency(amount: str, shown: str) -> None:
    assert str(from_micros(to_micros(Decimal(amount)))) == shown


def test_a_new_amount_is_written_like_a_stored_one() -> None:
    assert str(MoneyField().to_python("100")) == "100.00"


def test_an_amount_with_too_many_places_is_refused() -> None:
    with pytest.raises(ValidationError):
        to_micros(Decimal("0.0000001"))


def test_money_is_written_as_in_the_language(settings: Settings) -> None:
    with override("ru"):
        assert money(12_300_504_000) == "12\xa0300,50\xa0₽"
        assert price(Decimal("0.0075")) == "0,0075\xa0₽"
    with override("en"):
        assert money(12_300_504_000) == "RUB\xa012,300.50"
    settings.CURRENCY = "JPY"
    with override("en"):
        assert money(1_499_999) == "¥1"
        assert money(None) == "–"
