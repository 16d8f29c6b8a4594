"""What a gateway charges for a message on one day."""

from datetime import date
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from campaigns.gateways.registry import route_of
from campaigns.models import Price
from campaigns.prices.entries import Entry
from campaigns.prices.services import price_delete, prices_save
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


@pytest.mark.django_db
def test_senders_read_prices_again_only_after_a_change(admin: User) -> None:
    def price_of_route() -> int | None:
        return route_of("probe").price_of(RUSSIAN)

    def save(amount: str) -> None:
        prices_save(gateway="probe", entries=[Entry("RU", date(2026, 1, 1), Decimal(amount))], by=admin)

    assert price_of_route() is None
    save("2.5")
    assert price_of_route() == 2_500_000
    with CaptureQueriesContext(connection) as queries:
        assert price_of_route() == 2_500_000
    assert [query["sql"] for query in queries if '"campaigns_price"' in query["sql"]] == []
    save("3")
    assert price_of_route() == 3_000_000
    price_delete(row=Price.objects.get(), by=admin)
    assert price_of_route() is None
