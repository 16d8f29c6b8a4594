import phonenumbers
import pytest
from django.conf import LazySettings
from django.core.exceptions import ValidationError
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from directory import phones

MOBILES = st.integers(79010000000, 79199999999)
SEPARATORS = st.text(" ()-.\u00a0\u2011\u200b", max_size=2)


@pytest.mark.parametrize(
    "written",
    [
        "+7 (999) 123-45-67",
        "8 999 123 45 67",
        "8(999)123-45-67",
        "79991234567",
        "9991234567",
        "+7.999.123.45.67",
        "\u202a+7 999 123‑45‑67\u202c\n",
        79991234567,
        9991234567,
    ],
)
def test_usual_notations_of_phones_are_accepted(written: str | int) -> None:
    assert phones.normalise(written) == 79991234567


@pytest.mark.parametrize("phone", ["+7 495 123-45-67", "8 (812) 555-12-12", "+7 701 123 45 67"])
def test_city_lines_and_other_numbers_of_the_same_plan_are_phones_too(phone: str) -> None:
    assert phones.pretty(phones.normalise(phone)) == phones.pretty(phones.normalise(phone.replace(" ", "")))


@pytest.mark.parametrize(
    "written",
    [
        "",
        " ",
        "0",
        "phone",
        "112",
        "7999123456",
        "8495123456",
        "+9991234567",
        "+8 999 123 45 67",
        "799912345678",
        "+7 000 123-45-67",
        "+1 202 555 0123",
        "+380 44 123 45 67",
        "00 7 999 123 45 67",
        "8 800 FLOWERS",
        "79991234567 ext. 5",
        "tel:+79991234567",
        "call +79991234567 now",
        "+79991234567, +79991234568",
        "7999\x001234567",
        "７９９９１２３４５６７",
        "٧٩٩٩١٢٣٤٥٦٧",
        "7²991234567",
        "-79991234567x",
        "7999123456\ud800",
        0,
        -79991234567,
        True,
    ],
)
def test_anything_else_is_refused(written: str | int) -> None:
    with pytest.raises(ValidationError):
        phones.normalise(written)


def test_a_huge_input_is_refused_at_once() -> None:
    for written in ("79991234567" * 100_000, " " * 1_000_000, 10**5000, -(10**5000)):
        with pytest.raises(ValidationError):
            phones.normalise(written)


@given(MOBILES, st.sampled_from(["+7", "7", "8", ""]), st.lists(SEPARATORS, min_size=10, max_size=10))
def test_separators_and_prefixes_never_matter(phone: int, prefix: str, separators: list[str]) -> None:
    rest = str(phone)[1:]
    written = prefix + "".join(separator + digit for separator, digit in zip(separators, rest, strict=True))
    if len(written) <= 40:
        assert phones.normalise(written) == phone


@given(MOBILES)
def test_formatted_phone_can_be_typed_again(phone: int) -> None:
    assert phones.normalise(phones.pretty(phone)) == phone
    assert phones.operator_code(phone) == str(phone)[1:4]


@given(st.text() | st.integers() | st.text("+789 -()", max_size=16))
def test_any_input_gives_a_phone_or_an_error(written: str | int) -> None:
    try:
        phone = phones.normalise(written)
    except ValidationError:
        return
    assert 70000000000 <= phone <= 79999999999


@pytest.mark.parametrize(
    ("phone", "country", "line_type", "mobile", "zone"),
    [
        (79161234567, "RU", "mobile", True, None),
        (77011234567, "KZ", "mobile", True, "Asia/Almaty"),
        (77771234567, "KZ", "mobile", True, "Asia/Almaty"),
        (77122123456, "KZ", "fixed", False, "Asia/Aqtobe"),
        (78005553535, "RU", "toll_free", False, None),
        (78091234567, "RU", "other", False, None),
        (74951234567, "RU", "fixed", False, "Europe/Moscow"),
        (76001234567, "", "other", True, None),
        (380501234567, "UA", "mobile", True, "Europe/Kyiv"),
        (14155552671, "US", "mobile", True, "America/Los_Angeles"),
        (80012345678, "", "toll_free", False, None),
        (-5, "", "", True, None),
    ],
)
def test_numbering_plan_gives_country_type_and_zone(
    phone: int, country: str, line_type: str, mobile: bool, zone: str | None
) -> None:
    assert (phones.country(phone), phones.line_type(phone)) == (country, line_type)
    assert (phones.is_mobile(phone), phones.timezone_of(phone)) == (mobile, zone)


@pytest.mark.parametrize(
    ("written", "country", "phone"),
    [
        ("84912345678", "", 74912345678),
        ("84912345678", "VN", 84912345678),
        ("050 123-45-67", "UA", 380501234567),
        ("+7 916 123-45-67", "UA", 79161234567),
        ("8 916 123-45-67", "UA", 79161234567),
        ("8 916 123-45-67", "QQ", 79161234567),
    ],
)
def test_a_known_country_says_how_to_read_digits_without_a_plus(
    settings: LazySettings, written: str, country: str, phone: int
) -> None:
    settings.PHONE_COUNTRIES = ["*"]
    assert phones.normalise(written, country) == phone


@pytest.mark.parametrize(
    ("countries", "written", "phone"),
    [
        (["RU", "KZ"], "8 701 123 45 67", 77011234567),
        (["RU", "UA"], "+380 50 123 45 67", 380501234567),
        (["RU", "UA"], "380501234567", 380501234567),
        (["UA", "RU"], "050 123-45-67", 380501234567),
        (["UA", "RU"], "+7 916 123-45-67", 79161234567),
        (["UA", "RU"], "79161234567", 79161234567),
        (["*"], "+1 415 555 2671", 14155552671),
        (["*"], "8 916 123-45-67", 79161234567),
    ],
)
def test_the_first_country_reads_numbers_without_a_code(
    settings: LazySettings, countries: list[str], written: str, phone: int
) -> None:
    settings.PHONE_COUNTRIES = countries
    assert phones.normalise(written) == phone
    assert phones.normalise(phones.pretty(phone)) == phone
    assert phones.operator_code(phone) == (str(phone)[1:4] if str(phone).startswith("7") else "")


@pytest.mark.parametrize(
    ("countries", "written", "reason"),
    [
        (["RU"], "+7 701 123 45 67", "This is a number of Kazakhstan. This installation accepts numbers of Russia."),
        (["KZ"], "+7 916 123-45-67", "a number of Russia. This installation accepts numbers of Kazakhstan."),
        (["RU", "KZ"], "+14155552671", "United States. This installation accepts numbers of Russia and Kazakhstan."),
        (["RU"], "+800 1234 5678", "This number belongs to no country. This installation"),
        (["RU", "KZ", "BY", "UA", "AM", "GE", "DE"], "+33 6 12 34 56 78", "Belarus, Ukraine, Armenia, and 2 more."),
    ],
)
def test_refused_and_accepted_countries_are_named(
    settings: LazySettings, countries: list[str], written: str, reason: str
) -> None:
    settings.PHONE_COUNTRIES = countries
    with pytest.raises(ValidationError, match=reason) as refused:
        phones.normalise(written)
    assert refused.value.code == "phone"


def test_refusals_are_in_the_active_language(settings: LazySettings) -> None:
    settings.PHONE_COUNTRIES = ["RU", "KZ"]
    with translation.override("ru"), pytest.raises(ValidationError) as refused:
        phones.normalise("+380 50 123 45 67")
    assert refused.value.messages == [
        "Страна этого номера: Украина. Здесь принимаются номера стран: Россия и Казахстан."
    ]


@pytest.mark.parametrize(("rule", "refused", "warned"), [("accept", 0, False), ("warn", 0, True), ("refuse", 3, False)])
def test_landlines_are_accepted_warned_about_or_refused(
    settings: LazySettings, rule: str, refused: int, warned: bool
) -> None:
    settings.LANDLINES = rule
    assert phones.deliverable("+7 916 123-45-67") == 79161234567
    failures = 0
    for phone in ("8 800 555-35-35", "+7 495 123-45-67", "+7 7122 12-34-56"):
        assert phones.should_warn(phones.normalise(phone)) == warned
        try:
            phones.deliverable(phone)
        except ValidationError:
            failures += 1
    assert (failures, phones.should_warn(79161234567)) == (refused, False)


def test_landline_implies_a_time_zone_and_a_mobile_does_not() -> None:
    assert phones.timezone_of(74232123456) == "Asia/Vladivostok"
    assert phones.timezone_of(74951234567) == "Europe/Moscow"
    assert phones.timezone_of(79991234567) is None
    assert phones.timezone_of(70000000000) is None


@pytest.mark.parametrize(
    ("text", "variants"),
    [
        ("+7 999", ["7999"]),
        ("8 (999) 1", ["89991", "79991"]),
        ("45-67", ["4567"]),
        ("٧", []),
        ("Ivan", []),
    ],
)
def test_search_treats_a_leading_8_as_7(text: str, variants: list[str]) -> None:
    assert phones.search_variants(text) == variants


@pytest.mark.parametrize(
    ("countries", "text", "variants"),
    [
        (["DE"], "0170 12", ["017012", "4917012"]),
        (["RU", "DE"], "0170", ["0170", "49170"]),
        (["RU", "DE"], "8 999", ["8999", "7999"]),
        (["DE"], "+49 170", ["49170"]),
        (["DE"], "0049 170", ["0049170", "49170"]),
        (["BY"], "8 (029) 4", ["80294", "375294"]),
        (["EE"], "5123", ["5123"]),
        (["*"], "8 999", ["8999", "7999"]),
    ],
)
def test_search_finds_the_national_notation(
    settings: LazySettings, countries: list[str], text: str, variants: list[str]
) -> None:
    settings.PHONE_COUNTRIES = countries
    assert phones.search_variants(text) == variants


@given(st.integers(3 * 10**9, 10**10 - 1))
def test_last_digits_do_not_matter_to_the_numbering_plan(national: int) -> None:
    number = phonenumbers.PhoneNumber(country_code=7, national_number=national)
    try:
        assert phones.normalise(f"+7{national}") == 7 * 10**10 + national
        assert phonenumbers.is_valid_number(number)
    except ValidationError:
        assert not phonenumbers.is_valid_number(number)
