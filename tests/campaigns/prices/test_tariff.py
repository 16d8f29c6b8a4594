"""What a gateway charges for a message on one day."""

from datetime import date
from decimal import Decimal

import pytest

from campaigns.models import Price
from campaigns.prices.tariff import tariff_of

RUSSIAN, KAZAKH, FRENCH = 79991234567, 77010001234, 33612345678


def price(area: str, amount: str, valid_from: date, gateway: str = "probe") -> Price:
    return Price.objects.create(gateway=gateway, area=area, price=Decimal(amount), valid_from=valid_from)


@pytest.mark.django_db
def test_the_latest_price_of_the_closest_area_is_valid() -> None:
    price("RU", "2.5", date(2026, 1, 1))
    price("RU", "2.75", date(2026, 3, 1))
    price("7999", "1.999999", date(2026, 1, 1))
    price("", "0.0075", date(2026, 1, 1))
    price("RU", "9", date(2026, 1, 1), gateway="other")
    february, march = tariff_of("probe", date(2026, 2, 28)), tariff_of("probe", date(2026, 3, 1))
    assert february.price_of(79161234567) == 2_500_000
    assert march.price_of(79161234567) == 2_750_000
    assert march.price_of(RUSSIAN) == 1_999_999
    assert march.price_of(KAZAKH) == march.price_of(FRENCH) == 7_500


@pytest.mark.django_db
def test_without_a_price_nothing_is_guessed() -> None:
    price("KZ", "1", date(2026, 1, 1))
    assert tariff_of("probe", date(2026, 1, 1)).price_of(RUSSIAN) is None
    assert not tariff_of("probe", date(2025, 12, 31))
