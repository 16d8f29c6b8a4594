from django.utils import translation

from directory.countries import country_list, country_name, country_options


def test_names_are_in_the_active_language() -> None:
    assert country_name("UA") == "Ukraine"
    assert country_options(["RU", "KZ"]) == [("KZ", "Kazakhstan"), ("RU", "Russia")]
    with translation.override("ru"):
        assert country_name("UA") == "Украина"
        assert country_list(["RU", "KZ"]) == "Россия и Казахстан"


def test_unknown_codes_stay() -> None:
    assert (country_name("QQ"), country_name("")) == ("QQ", "")


def test_a_long_list_is_shortened() -> None:
    assert country_list(["RU"]) == "Russia"
    assert country_list(["RU", "RU", "KZ"]) == "Russia and Kazakhstan"
    assert country_list(["RU", "KZ", "UA", "BY", "AM", "GE"]).endswith("Armenia, and Georgia")
    assert country_list(["RU", "KZ", "UA", "BY", "AM", "GE", "DE"]) == (
        "Russia, Kazakhstan, Ukraine, Belarus, Armenia, and 2 more"
    )
    with translation.override("ru"):
        assert country_list(["RU", "KZ", "UA", "BY", "AM", "GE", "DE"]).endswith("Армения и ещё 2")
