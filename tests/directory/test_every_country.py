"""Numbers of every country go through form, API, import and export unchanged."""

import csv
from functools import cache
from io import BytesIO, StringIO
from typing import Any, Final, NamedTuple

import openpyxl
import phonenumbers
import pytest
from django.conf import LazySettings
from django.test import Client
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from accounts.models import User
from directory import phones
from directory.contacts.forms import ContactForm
from directory.contacts.services import contact_create
from directory.models import Contact
from project.observability.logs import mask, mask_phones
from tests.conftest import ApiClient
from tests.directory.imports.helpers import draft, run, workbook

# Territories that share a plan with another one, whose country their numbers have.
_SHARED: Final = {
    ("AX", "mobile"): "FI",
    ("BL", "mobile"): "GP",
    ("CC", "mobile"): "AU",
    ("CX", "mobile"): "AU",
    ("EH", "mobile"): "MA",
    ("EH", "fixed"): "MA",
    ("IM", "mobile"): "GB",
    ("MF", "mobile"): "GP",
    ("MF", "fixed"): "BL",
    ("SJ", "mobile"): "NO",
    ("VA", "mobile"): "IT",
}
_TYPES: Final = {"mobile": PhoneNumberType.MOBILE, "fixed": PhoneNumberType.FIXED_LINE}


class Example(NamedTuple):
    """A number of a country, as stored and as people write it."""

    phone: int
    country: str
    kind: str
    international: str
    national: str


@cache
def examples() -> list[Example]:
    """A mobile and a fixed number of every country, each number once."""
    found: dict[int, Example] = {}
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind, number_type in _TYPES.items():
            number = phonenumbers.example_number_for_type(region, number_type)
            if number is None:
                continue
            phone = int(phonenumbers.format_number(number, PhoneNumberFormat.E164))
            country = _SHARED.get((region, kind), region)
            written = (
                phonenumbers.format_number(number, notation)
                for notation in (PhoneNumberFormat.INTERNATIONAL, PhoneNumberFormat.NATIONAL)
            )
            found.setdefault(phone, Example(phone, country, kind, *written))
    return list(found.values())


@pytest.fixture(autouse=True)
def _accept_all(settings: LazySettings) -> None:
    settings.PHONE_COUNTRIES = ["*"]


def stored() -> dict[int, str]:
    """The country of each stored phone."""
    return dict(Contact.objects.values_list("phone", "country"))


def expected() -> dict[int, str]:
    return {example.phone: example.country for example in examples()}


def test_every_country_has_examples() -> None:
    assert len(examples()) > 450
    without_numbers_of_their_own = {"EH", "MF"}
    assert {example.country for example in examples()} == phonenumbers.SUPPORTED_REGIONS - without_numbers_of_their_own


@pytest.mark.parametrize("region", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_numbers_are_read_in_usual_notations(region: str) -> None:
    for phone, country, kind, international, national in examples():
        if country != region:
            continue
        assert phones.normalise(international) == phones.normalise(phones.pretty(phone)) == phone
        assert phones.normalise(str(phone), country) == phone  # as stored
        if sum(map(str.isdigit, national)) >= 5:  # fewer are no phone
            assert phones.normalise(national, country) == phone
        assert phones.country(phone) == country
        assert phones.line_type(phone) in {kind, "mobile"}  # some plans don't tell them apart


@pytest.mark.django_db
def test_form(alice: User) -> None:
    some = examples()[::12]  # a form takes 50 ms
    for example in some:
        form = ContactForm({"phone": example.international})
        assert form.is_valid(), example
        contact_create(owner=alice, **form.cleaned_data)
    assert stored() == {example.phone: example.country for example in some}


@pytest.mark.django_db
def test_api(alice: User) -> None:
    client = ApiClient(alice)
    rows = [{"phone": example.international} for example in examples()]
    answer = client.post("/contacts/bulk", {"contacts": rows}, content_type="application/json").json()
    assert answer == {"created": len(rows), "updated": 0, "rejected": []}
    assert stored() == expected()
    items = client.get("/contacts", {"limit": 500}).json()["items"]
    assert {int(item["phone"]): item["country"] for item in items} == expected()
    again = [{"phone": item["phone"], "country": item["country"]} for item in items]
    answer = client.post("/contacts/bulk", {"contacts": again}, content_type="application/json").json()
    assert answer == {"created": 0, "updated": len(rows), "rejected": []}
    assert {item["country"] for item in client.get("/contacts", {"country": "UA"}).json()["items"]} == {"UA"}


@pytest.mark.django_db
def test_import_and_export(alice: User) -> None:
    done = run(alice, "\n".join(["phone", *(example.international for example in examples())]))
    assert (done.created, done.rejected) == (len(examples()), 0)
    assert stored() == expected()
    site = Client()
    site.force_login(alice)
    for kind in ("csv", "xlsx"):
        answer: Any = site.get(f"/contacts/export.{kind}")
        content = b"".join(answer.streaming_content)
        assert exported(kind, content) == {str(phone): country for phone, country in expected().items()}
        Contact.objects.all().delete()
        done = run(alice, content)
        assert (done.created, done.rejected) == (len(examples()), 0)
        assert stored() == expected()


def exported(kind: str, content: bytes) -> dict[str, str]:
    """The country of each phone in a file."""
    if kind == "csv":
        rows: Any = list(csv.reader(StringIO(content.decode("utf-8-sig"))))
    else:
        rows = list(openpyxl.load_workbook(BytesIO(content)).worksheets[0].values)
    phone, country = rows[0].index("phone"), rows[0].index("country")
    return {str(row[phone]): row[country] for row in rows[1:]}


@pytest.mark.django_db
def test_numbers_of_a_country_that_is_not_accepted_are_refused_with_the_reason(
    alice: User, settings: LazySettings
) -> None:
    settings.PHONE_COUNTRIES = ["RU", "KZ"]
    foreign = [example for example in examples() if example.country not in ("RU", "KZ")]
    rows = [{"phone": example.international} for example in foreign]
    answer = ApiClient(alice).post("/contacts/bulk", {"contacts": rows}, content_type="application/json").json()
    assert len(answer["rejected"]) == len(rows)
    reasons = {example.country: row["error"] for example, row in zip(foreign, answer["rejected"], strict=True)}
    assert reasons["UA"] == (
        "phone: This is a number of Ukraine. This installation accepts numbers of Russia and Kazakhstan."
    )
    assert all("This is a number of" in reason for reason in reasons.values())
    done = run(alice, "\n".join(["phone", "+380 50 123 45 67"]))
    assert done.rejected_rows.get().reason.endswith(
        "This is a number of Ukraine. This installation accepts numbers of Russia and Kazakhstan."
    )


@pytest.mark.parametrize("written", ["+380 50 123 45", "+49 17", "+1 415 555 26", "+999 123 45 67 89"])
def test_incomplete_and_unassigned_numbers_are_refused(written: str) -> None:
    with pytest.raises(Exception, match="Enter a phone number"):
        phones.normalise(written)


def test_logs_mask_every_mobile_number(settings: LazySettings) -> None:
    for example in examples():
        if example.kind == "mobile":
            settings.PHONE_COUNTRIES = [example.country]
            for text in (f"to +{example.phone}.", f"to {example.phone}.", f"to {example.international}."):
                assert mask_phones(text) == f"to {mask(example.phone)}.", (example, text)


@pytest.mark.django_db
def test_a_column_of_countries_is_derived_only_if_it_says_what_the_phones_say(alice: User) -> None:
    same = draft(alice, "phone,country\n84912345678,VN\n79161234567,RU\n")
    assert same.mapping == ["phone", "country"]
    for other in ("Russia", "DE"):
        residence = draft(alice, f"phone,country\n+79161234567,{other}\n")
        assert residence.mapping == ["phone", "attributes.country"]
    assert draft(alice, workbook(["phone", "country"], [79161234567, "RU"])).mapping == ["phone", "country"]
