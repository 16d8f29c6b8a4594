"""The administrators' pages of prices."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from accounts.models import User
from campaigns.models import Price
from campaigns.prices.tariff import today
from tests.campaigns.browser_client import browser, htmx

pytestmark = pytest.mark.django_db

PAGE = "/gateways/probe/prices/"


def form(**changes: str) -> dict[str, str]:
    return {"area": "kz", "price": "2.5", "valid_from": "2026-01-01", **changes}


def uploaded(client: Any, content: str) -> Any:
    return client.post(f"{PAGE}import/", {"file": SimpleUploadedFile("prices.csv", content.encode())}, follow=True)


def test_an_empty_page_says_what_prices_are_for(admin: User) -> None:
    page = browser(admin).get(PAGE).content.decode()
    assert "estimates what a campaign costs" in page
    assert f'value="{today():%Y-%m-%d}"' in page
    assert PAGE in browser(admin).get("/gateways/").content.decode()
    assert PAGE in browser(admin).get("/gateways/probe/").content.decode()
    assert browser(admin).get("/gateways/nobody/prices/").status_code == 404


def test_a_price_is_added_replaced_and_deleted(admin: User) -> None:
    client = browser(admin)
    page = client.post(PAGE, form(), follow=True).content.decode()
    assert "Kazakhstan: RUB\u00a02.50 per part" in page
    assert "Valid today" in page
    page = client.post(PAGE, form(area="Kazakhstan", price="2.75"), follow=True).content.decode()
    assert "It replaces the one of the same day" in page
    row = Price.objects.get()
    assert (row.area, row.valid_from, row.price) == ("KZ", date(2026, 1, 1), Decimal("2.75"))
    assert "Delete this price?" in client.get(f"{PAGE}{row.pk}/delete/").content.decode()
    assert "do not change" in client.post(f"{PAGE}{row.pk}/delete/", follow=True).content.decode()
    assert not Price.objects.exists()
    assert client.post(f"{PAGE}{row.pk}/delete/").status_code == 404
    history = client.get("/gateways/probe/").content.decode()
    assert "Prices added:" in history
    assert "Prices deleted:" in history


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("area", "Narnia"),
        ("price", "-1"),
        ("price", "1.0000001"),
        ("price", "9999999999"),
        ("price", "2,5"),
        ("valid_from", "0026-01-01"),
        ("valid_from", ""),
    ],
)
def test_errors_are_shown_at_their_fields(admin: User, field: str, value: str) -> None:
    response = browser(admin).post(PAGE, form(**{field: value}))
    assert response.status_code == 422
    assert f"id_{field}_error" in response.content.decode()
    assert not Price.objects.exists()


def test_russians_write_a_comma_and_read_their_own_names(admin: User) -> None:
    admin.language = "ru"
    admin.save()
    client = browser(admin)
    page = client.post(PAGE, form(area="Германия", price="2,5"), follow=True).content.decode()
    assert "2,50\u00a0₽" in page
    assert "Германия" in page
    assert Price.objects.get().area == "DE"


def test_a_file_is_imported_as_a_whole_or_not_at_all(admin: User) -> None:
    client = browser(admin)
    client.post(PAGE, form())
    page = uploaded(client, "area,price,valid_from\nKZ,2.75,2026-01-01\nNarnia,1,\nRU,x,\n").content.decode()
    assert "Nothing was imported." in page
    assert "Row 3: “Narnia” is neither" in page
    assert "Row 4: Enter a price" in page
    assert Price.objects.get().price == Decimal("2.5")
    page = uploaded(client, "area,price,valid_from\nKZ,2.75,2026-01-01\nRU,1,\n,0.5,2026-01-01\n").content.decode()
    assert "3 prices read: 2 added, 1 replaced, 0 unchanged." in page
    assert set(Price.objects.values_list("area", "price")) == {
        ("KZ", Decimal("2.75")),
        ("RU", Decimal(1)),
        ("", Decimal("0.5")),
    }


def test_a_file_that_is_no_table_of_prices_is_refused(admin: User) -> None:
    client = browser(admin)
    assert "must name the columns" in uploaded(client, "nothing\n").content.decode()
    assert "larger than 1 MB" in uploaded(client, "x" * (1024 * 1024 + 1)).content.decode()
    assert "id_file_error" in client.post(f"{PAGE}import/").content.decode()


def test_an_export_is_imported_without_changes(admin: User) -> None:
    client = browser(admin)
    for area, price in (("", "0.000001"), ("7727", "3"), ("KZ", "2.5")):
        client.post(PAGE, form(area=area, price=price))
    before = set(Price.objects.values_list("area", "valid_from", "price"))
    response = client.get(f"{PAGE}export/")
    content = b"".join(response.streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    assert content.splitlines()[:2] == ["area,price,valid_from", ",0.000001,2026-01-01"]
    page = uploaded(client, content).content.decode()
    assert "0 added, 0 replaced, 3 unchanged" in page
    assert set(Price.objects.values_list("area", "valid_from", "price")) == before


def test_prices_are_searched_and_filtered(admin: User) -> None:
    client = browser(admin)
    for area in ("KZ", "7727", "DE", ""):
        client.post(PAGE, form(area=area))
    client.post(PAGE, form(valid_from="2099-01-01", price="9"))

    def shown(query: str) -> list[str]:
        page = client.get(f"{PAGE}?{query}", headers=htmx("found")).content.decode()
        return [area for area in ("Kazakhstan", "+7727", "Germany", "All other countries") if f"{area}\n" in page]

    assert shown("") == ["Kazakhstan", "+7727", "Germany", "All other countries"]
    assert shown("q=germ") == ["Germany"]
    assert shown("q=%2B77") == ["+7727"]
    assert shown("state=later") == ["Kazakhstan"]
    assert shown("q=nowhere") == []
