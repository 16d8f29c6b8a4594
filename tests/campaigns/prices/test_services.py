"""Changes of prices."""

from datetime import date
from decimal import Decimal

import pytest
from django.core.exceptions import PermissionDenied, ValidationError

from accounts.audit_log import history_of
from accounts.models import User
from campaigns.models import Gateway, Price
from campaigns.prices import services
from campaigns.prices.entries import Entry

pytestmark = pytest.mark.django_db

JANUARY, MARCH = date(2026, 1, 1), date(2026, 3, 1)


def entry(area: str, price: str, valid_from: date = JANUARY) -> Entry:
    return Entry(area, valid_from, Decimal(price))


def stored(gateway: str = "probe") -> set[Entry]:
    return {Entry(row.area, row.valid_from, row.price) for row in Price.objects.filter(gateway=gateway)}


def save(admin: User, *entries: Entry, gateway: str = "probe", replace_all: bool = False) -> services.Saved:
    return services.prices_save(gateway=gateway, entries=entries, by=admin, replace_all=replace_all)


def test_a_price_of_the_same_area_and_day_is_replaced(admin: User) -> None:
    assert save(admin, entry("KZ", "2.5"), entry("", "1")) == (2, 0)
    assert save(admin, entry("KZ", "2.6"), entry("KZ", "3", MARCH), entry("", "1")) == (1, 1)
    assert stored() == {entry("KZ", "2.6"), entry("KZ", "3", MARCH), entry("", "1")}


def test_all_prices_of_one_gateway_can_be_replaced(admin: User) -> None:
    save(admin, entry("KZ", "9"), gateway="other")
    save(admin, entry("KZ", "2.5"), entry("KZ", "3", MARCH), entry("RU", "1"))
    save(admin, entry("KZ", "2.5"), entry("DE", "7"), replace_all=True)
    assert stored() == {entry("KZ", "2.5"), entry("DE", "7")}
    assert stored("other") == {entry("KZ", "9")}
    save(admin, replace_all=True)
    assert stored() == set()


def test_changes_are_recorded_with_their_user(admin: User) -> None:
    save(admin, entry("KZ", "2.5"), entry("", "1"))
    save(admin, entry("KZ", "2.6"))
    services.price_delete(row=Price.objects.get(area=""), by=admin)
    steps = [step for step in history_of(Gateway(name="probe")) if step.set_name]
    assert [(step.added, step.removed) for step in steps] == [
        ([], ["* 2026-01-01: 1.00"]),
        (["KZ 2026-01-01: 2.60"], []),
        ([], ["KZ 2026-01-01: 2.50"]),
        (["* 2026-01-01: 1.00", "KZ 2026-01-01: 2.50"], []),
    ]
    assert {(step.by, step.set_name) for step in steps} == {(admin, "prices")}


def test_a_long_change_is_recorded_by_its_beginning(admin: User) -> None:
    save(admin, *(entry(str(n), "1") for n in range(1000, 1150)))
    step, *_created = history_of(Gateway(name="probe"))
    assert (len(step.added), step.added[-1]) == (101, "… +50")


def test_the_state_of_a_price_depends_on_the_day(admin: User) -> None:
    save(admin, entry("KZ", "1"), entry("KZ", "2", MARCH), entry("RU", "3"), entry("DE", "4", date(2026, 4, 1)))
    rows = services.prices_of("probe", date(2026, 3, 31)).order_by("area", "valid_from")
    assert list(rows.values_list("area", "state")) == [
        ("DE", "later"),
        ("KZ", "earlier"),
        ("KZ", "current"),
        ("RU", "current"),
    ]


def test_the_number_of_prices_is_limited(admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "MAX_PRICES", 2)
    save(admin, entry("KZ", "1"), entry("RU", "1"))
    with pytest.raises(ValidationError, match="at most 2 prices"):
        save(admin, entry("DE", "1"))
    save(admin, entry("DE", "1"), replace_all=True)


def test_only_administrators_change_prices(alice: User, admin: User) -> None:
    save(admin, entry("KZ", "1"))
    with pytest.raises(PermissionDenied):
        save(alice, entry("RU", "1"))
    with pytest.raises(PermissionDenied):
        services.price_delete(row=Price.objects.get(), by=alice)


def test_a_deleted_gateway_leaves_no_prices(admin: User) -> None:
    second = Gateway.objects.create(name="second", kind="probe")
    save(admin, entry("KZ", "1"), gateway="second")
    save(admin, entry("KZ", "1"))
    second.delete()
    assert (stored("second"), stored()) == (set(), {entry("KZ", "1")})
