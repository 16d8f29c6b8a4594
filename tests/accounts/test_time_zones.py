import pytest
from django.core.exceptions import ValidationError
from django.utils.translation import override

from accounts.models import validate_timezone
from accounts.time_zones import place, zone_groups, zone_options


def test_the_zones_of_the_installations_country_come_first_from_west_to_east() -> None:
    (_near, near), (_far, far) = zone_groups()
    names = [name for name, _label in near]
    assert names[0] == "Europe/Kaliningrad"
    assert {"Europe/Moscow", "Asia/Omsk"} <= set(names)
    assert dict(near)["Asia/Kamchatka"] == "Kamchatka, UTC+12"
    assert not set(names) & {name for name, _label in far}
    assert dict(far)["Asia/Kolkata"] == "Asia/Kolkata, UTC+5:30"
    assert dict(far)["UTC"] == "UTC, UTC+0"


@pytest.mark.parametrize("name", ["localtime", "Factory", "Mars/Olympus", "europe/moscow", ""])
def test_names_without_a_place_are_not_time_zones(name: str) -> None:
    with pytest.raises(ValidationError):
        validate_timezone(name)


def test_zone_is_named_after_its_city_in_the_active_language() -> None:
    assert [place(zone) for zone in ("Asia/Yekaterinburg", "UTC", "Mars/Olympus_Mons")] == [
        "Yekaterinburg",
        "UTC",
        "Olympus Mons",
    ]
    with override("ru"):
        assert zone_options(["Asia/Omsk", "Europe/Moscow"]) == [
            ("Europe/Moscow", "Москва, UTC+3"),
            ("Asia/Omsk", "Омск, UTC+6"),
        ]
