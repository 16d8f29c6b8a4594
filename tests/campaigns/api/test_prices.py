"""`/gateways/{name}/prices`."""

from typing import Any

import pytest

from accounts.models import User
from campaigns.models import Price
from tests.conftest import ApiClient

pytestmark = pytest.mark.django_db

PATH = "/gateways/probe/prices"
PRICES = [
    {"area": "", "price": "0.000001", "valid_from": "2026-01-01"},
    {"area": "7727", "price": "3.00", "valid_from": "2026-01-01"},
    {"area": "KZ", "price": "2.50", "valid_from": "2026-01-01"},
    {"area": "KZ", "price": "2.75", "valid_from": "2026-03-01"},
]


@pytest.fixture
def client(admin: User) -> ApiClient:
    return ApiClient(admin)


def put(client: ApiClient, prices: Any, path: str = PATH) -> Any:
    return client.put(path, prices, content_type="application/json")


def test_prices_are_replaced_as_a_whole_and_read_exactly(client: ApiClient) -> None:
    assert client.get(PATH).json() == []
    answer = put(client, [*reversed(PRICES), {"area": "RU", "price": "1", "valid_from": "2026-01-01"}])
    assert answer.json() == [*PRICES, {"area": "RU", "price": "1.00", "valid_from": "2026-01-01"}]
    assert put(client, PRICES).json() == client.get(PATH).json() == PRICES
    assert put(client, []).json() == []
    assert not Price.objects.exists()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"price": 2.5}, "price"),
        ({"price": "2,5"}, "price"),
        ({"price": "1.0000001"}, "price"),
        ({"price": "-1"}, "price"),
        ({"area": "ZZ"}, "area"),
        ({"area": "0049"}, "area"),
        ({"valid_from": "1999-01-01"}, "valid_from"),
        ({"valid_from": "2026-02-30"}, "valid_from"),
        ({"valid_from": 0}, "valid_from"),
        ({"currency": "EUR"}, "currency"),
        ({"area": "KZ"}, "area"),  # once more for the same day
    ],
)
def test_a_wrong_row_is_named_by_its_index(client: ApiClient, changes: dict[str, Any], field: str) -> None:
    put(client, PRICES[:1])
    answer = put(client, [*PRICES, {"area": "RU", "price": "1", "valid_from": "2026-01-01", **changes}])
    assert answer.status_code == 422
    assert [error["loc"] for error in answer.json()["detail"]] == [["body", 4, field]]
    assert client.get(PATH).json() == PRICES[:1]


def test_unknown_gateways_are_not_found(client: ApiClient) -> None:
    assert put(client, [], "/gateways/nobody/prices").status_code == 404
    assert client.get("/gateways/nobody/prices").status_code == 404
