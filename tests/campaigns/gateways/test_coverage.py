"""Which gateway carries a phone number."""

import pytest

from accounts.models import User
from campaigns.gateways.coverage import Coverage, coverage_of
from campaigns.models import Gateway
from directory.models import Contact
from directory.phones import country
from tests import factories

RUSSIAN, OTHER_RUSSIAN, KAZAKH, GERMAN, BRITISH = 79991234567, 79161234567, 77010001234, 4915123456789, 447400123456
PHONES = (RUSSIAN, OTHER_RUSSIAN, KAZAKH, GERMAN, BRITISH)

CASES = [
    # Without areas everything goes by the campaign's own gateway.
    (Coverage({"home": (), "other": ()}), ["home"] * 5),
    (Coverage({"home": (), "other": ("RU",)}, named=True), ["home"] * 5),
    # The most exact area counts.
    (Coverage({"home": (), "kz": ("KZ",), "ru": ("7999", "RU")}), ["ru", "ru", "kz", "home", "home"]),
    (Coverage({"home": ("RU",), "mobile": ("7999",), "any": ()}), ["mobile", "home", "any", "any", "any"]),
    # A named gateway carries what it takes, whatever others take more exactly.
    (Coverage({"home": ("RU",), "mobile": ("7999",), "any": ()}, named=True), ["home", "home", "any", "any", "any"]),
    # Of equals the campaign's own gateway.
    (Coverage({"home": ("DE",), "other": ("DE", "44")}), [None, None, None, "home", "other"]),
]


@pytest.mark.parametrize(("coverage", "expected"), CASES)
def test_the_gateway_of_a_phone(alice: User, coverage: Coverage, expected: list[str | None]) -> None:
    assert [coverage.gateway_of(phone, country(phone)) for phone in PHONES] == expected
    for phone in PHONES:
        factories.contact(alice, phone=phone)
    found = dict(Contact.objects.annotate(carrier=coverage.annotation()).values_list("phone", "carrier"))
    assert [found[phone] for phone in PHONES] == expected


def test_only_areas_divide_numbers() -> None:
    assert not Coverage({"home": (), "other": ()}).divides
    assert not Coverage({"home": (), "other": ("RU",)}, named=True).divides
    assert Coverage({"home": (), "other": ("RU",)}).divides
    assert Coverage({"home": ("RU",)}).divides


@pytest.mark.django_db
def test_gateways_that_are_off_carry_nothing_new() -> None:
    Gateway.objects.create(name="probe", carries="RU")
    Gateway.objects.create(name="kz", kind="probe", url="http://127.0.0.1:1", carries="KZ,7701")
    Gateway.objects.create(name="off", kind="probe", url="http://127.0.0.1:1", carries="DE", active=False)
    assert coverage_of(None) == Coverage({"probe": ("RU",), "kz": ("7701", "KZ")})
    assert coverage_of("kz") == Coverage({"kz": ("7701", "KZ"), "probe": ("RU",)}, named=True)
    assert coverage_of("off") == Coverage({"off": ("DE",), "kz": ("7701", "KZ"), "probe": ("RU",)}, named=True)
