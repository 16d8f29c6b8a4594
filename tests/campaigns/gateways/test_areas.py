"""Areas of phone numbers."""

import pytest

from campaigns.gateways import areas

KAZAKH, GERMAN, BRITISH = 77010001234, 4915123456789, 447400123456


def test_countries_and_prefixes_are_read_as_people_write_them() -> None:
    assert areas.parse("kz, RU +4477;7727\n ru") == ("4477", "7727", "KZ", "RU")
    assert areas.parse("  ") == ()


@pytest.mark.parametrize("text", ["RUS", "Russia", "0049", "12345678901234567", "7-701"])
def test_what_is_no_area_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=text):
        areas.parse(f"RU, {text}")


def test_the_longest_prefix_counts_then_the_country() -> None:
    found = areas.Areas(["7", "7701", "KZ", "DE", "44"])
    assert found.closest(KAZAKH, "KZ") == "7701"
    assert found.closest(77272581234, "KZ") == "7"
    assert found.closest(GERMAN, "DE") == "DE"
    assert found.closest(BRITISH, "GB") == "44"
    assert found.closest(33612345678, "FR") is None


@pytest.mark.parametrize(
    ("wanted", "by", "missing"),
    [
        ("KZ", "", ()),
        ("", "", ()),
        ("", "KZ", ("",)),
        ("KZ RU 4915", "7 49", ()),
        ("7701 7727", "770 KZ", ()),
        ("7999", "RU", ()),
        ("7", "RU KZ", ()),  # they share it with nobody else
        ("7", "RU", ("7",)),
        ("4915 44", "DE GB", ("44",)),  # also of Jersey
        ("1242 US", "US", ("1242",)),
        ("DE KZ 7", "KZ", ("7", "DE")),
        ("770", "7701", ("770",)),
    ],
)
def test_it_is_known_which_areas_others_lack(wanted: str, by: str, missing: tuple[str, ...]) -> None:
    assert areas.uncovered(areas.parse(wanted), by=areas.parse(by)) == missing
