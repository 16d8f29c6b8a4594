"""What a text to an audience costs, before it is sent."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from campaigns.models import Gateway, Price
from campaigns.prices.estimate import CostRow, Estimate, priced_audience
from directory.audiences.audience import Audience
from tests import factories

pytestmark = pytest.mark.django_db

EVERYONE = Audience()
RUSSIAN, KAZAKH, ALMATY = 79161112200, 77010001200, 77272581200
GERMAN = 4915112345600


@pytest.fixture(autouse=True)
def _all_countries(settings: Any) -> None:
    settings.PHONE_COUNTRIES = ["*"]


def contacts(owner: User, first: int, number: int) -> None:
    for n in range(number):
        factories.contact(owner, phone=first + n)


def price(area: str, amount: str, gateway: str = "probe", valid_from: date = date(2026, 1, 1)) -> None:
    Price.objects.create(gateway=gateway, area=area, price=Decimal(amount), valid_from=valid_from)


def estimate(parts: float = 1, gateway: str | None = None, starts_at: datetime | None = None) -> Estimate:
    priced = priced_audience(EVERYONE, gateway, starts_at)
    assert priced is not None
    return priced.estimate(parts)


def test_without_prices_and_areas_nothing_is_estimated_nor_counted(alice: User) -> None:
    contacts(alice, RUSSIAN, 2)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert priced_audience(EVERYONE, None, None) is None
    assert not any("directory_contact" in query["sql"] for query in queries)


def test_the_closest_price_of_each_phone_counts(alice: User) -> None:
    contacts(alice, RUSSIAN, 3)
    contacts(alice, KAZAKH, 2)
    contacts(alice, ALMATY, 1)
    for area, amount in (("RU", "1.5"), ("KZ", "2"), ("7727", "5"), ("77", "9"), ("7", "0.1")):
        price(area, amount)
    found = estimate(parts=2)
    assert found.rows == [
        CostRow("KZ", "probe", 3, 6, 2 * 2 * 9_000_000 + 2 * 5_000_000),
        CostRow("RU", "probe", 3, 6, 6 * 100_000),
    ]
    assert found.cost == sum(row.cost for row in found.rows)
    assert (found.unpriced, found.unreachable) == ({}, {})


def test_recipients_without_a_price_are_counted_apart(alice: User) -> None:
    contacts(alice, RUSSIAN, 2)
    contacts(alice, GERMAN, 1)
    price("RU", "1.5")
    found = estimate()
    assert (found.cost, found.unpriced) == (3_000_000, {"DE": 1})
    Price.objects.update(area="FR")
    assert (estimate().cost, estimate().unpriced) == (None, {"RU": 2, "DE": 1})


def test_each_gateway_has_its_own_prices_and_areas(alice: User) -> None:
    contacts(alice, RUSSIAN, 2)
    contacts(alice, KAZAKH, 3)
    contacts(alice, GERMAN, 1)
    Gateway.objects.create(name="probe", carries="RU")
    Gateway.objects.create(name="second", kind="probe", carries="KZ")
    price("", "1")
    price("KZ", "2", gateway="second")
    found = estimate()
    assert found.rows == [CostRow("KZ", "second", 3, 3, 6_000_000), CostRow("RU", "probe", 2, 2, 2_000_000)]
    assert found.unreachable == {"DE": 1}


def test_without_prices_only_unreachable_recipients_are_told(alice: User) -> None:
    contacts(alice, RUSSIAN, 2)
    contacts(alice, GERMAN, 1)
    Gateway.objects.create(name="probe", carries="RU")
    assert estimate() == Estimate(None, [], {}, {"DE": 1})


def test_the_prices_of_the_day_of_the_start_count(alice: User) -> None:
    contacts(alice, RUSSIAN, 1)
    price("RU", "1")
    price("RU", "2", valid_from=date(2090, 1, 1))
    assert estimate().cost == estimate(starts_at=datetime(2026, 1, 1, tzinfo=UTC)).cost == 1_000_000
    # 2090 has begun in Moscow.
    assert estimate(starts_at=datetime(2089, 12, 31, 22, tzinfo=UTC)).cost == 2_000_000


def test_a_mean_of_parts_gives_whole_parts(alice: User) -> None:
    contacts(alice, RUSSIAN, 3)
    price("RU", "0.000001")
    found = estimate(parts=1.5)
    assert (found.rows[0].parts, found.cost) == (4, 4)
