import phonenumbers
import pytest
from django.core.exceptions import ValidationError
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
def test_a_phone_is_read_as_people_write_it(written: str | int) -> None:
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
def test_what_is_shown_can_be_typed_again(phone: int) -> None:
    assert phones.normalise(phones.pretty(phone)) == phone
    assert phones.operator_code(phone) == str(phone)[1:4]


@given(st.text() | st.integers() | st.text("+789 -()", max_size=16))
def test_no_input_gives_anything_but_a_phone_or_a_refusal(written: str | int) -> None:
    try:
        phone = phones.normalise(written)
    except ValidationError:
        return
    assert 70000000000 <= phone <= 79999999999


def test_a_city_line_tells_its_time_zone_and_a_mobile_does_not() -> None:
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
def test_a_search_for_digits_reads_the_8_as_a_7(text: str, variants: list[str]) -> None:
    assert phones.searched(text) == variants


@given(st.integers(3 * 10**9, 10**10 - 1))
def test_no_rule_of_the_numbering_plan_looks_at_the_last_digits(national: int) -> None:
    number = phonenumbers.PhoneNumber(country_code=7, national_number=national)
    try:
        assert phones.normalise(f"+7{national}") == 7 * 10**10 + national
        assert phonenumbers.is_valid_number(number)
    except ValidationError:
        assert not phonenumbers.is_valid_number(number)
