from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import User
from directory.contacts.forms import FilterForm
from directory.models import Contact
from tests import factories
from tests.campaigns.browser_client import browser

LIST = "/contacts/"
NEW = "/contacts/new/"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def site(alice: User) -> Client:
    client = Client()
    client.force_login(alice)
    return client


def address(contact: Contact, name: str = "contact") -> str:
    return reverse(f"directory:{name}", args=[contact.pk])


def text_of(response: Any) -> str:
    return str(response.content.decode())


def test_every_page_requires_sign_in(client: Client, alice: User) -> None:
    contact = factories.contact(alice)
    for url in (LIST, NEW, address(contact), address(contact, "contact_edit")):
        assert client.get(url).headers["Location"].startswith("/accounts/login/")
    for name in ("contact_deactivate", "contact_reactivate"):
        assert client.post(address(contact, name)).headers["Location"].startswith("/accounts/login/")


def test_empty_directory_shows_the_first_steps(site: Client) -> None:
    assert "No contacts yet" in text_of(site.get(LIST))
    assert "No contacts match" in text_of(site.get(LIST, {"q": "Anna"}))


def test_the_list_shows_active_contacts_and_counts_them(site: Client, alice: User, bob: User) -> None:
    factories.contact(alice, first_name="Anna", phone=79991234567, tags=("vip",))
    factories.contact(bob, first_name="Boris", opted_out=True)
    factories.contact(alice, first_name="Gone", is_active=False)
    shown = text_of(site.get(LIST))
    assert "2 contacts" in shown
    assert "Opted out" in shown
    assert "Anna" in shown
    assert "+7 999 123-45-67" in shown
    assert "Boris" in shown
    assert "Gone" not in shown


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"q": "анна"}, {"Анна"}),
        ({"q": "8 999 123"}, {"Анна"}),
        ({"tag": "vip"}, {"Анна"}),
        ({"operator_code": "903"}, {"Борис"}),
        ({"timezone": "Asia/Omsk"}, {"Борис"}),
        ({"state": "opted_out"}, {"Борис"}),
        ({"state": "deactivated"}, {"Вера"}),
        ({"state": "all"}, {"Анна", "Борис", "Вера"}),
        ({"state": "all", "q": "анна", "operator_code": "903"}, set()),
        ({"state": "nonsense", "cursor": "x", "page": "7"}, {"Анна", "Борис"}),
    ],
)
def test_filters_in_the_address_narrow_the_list(
    site: Client, alice: User, query: dict[str, str], names: set[str]
) -> None:
    factories.contact(alice, first_name="Анна", phone=79991234567, tags=("vip",))
    factories.contact(alice, first_name="Борис", phone=79031234567, opted_out=True, timezone="Asia/Omsk")
    factories.contact(alice, first_name="Вера", is_active=False)
    shown = text_of(site.get(LIST, query))
    assert {name for name in ("Анна", "Борис", "Вера") if name in shown} == names


def test_countries_appear_when_there_are_several(site: Client, alice: User) -> None:
    factories.contact(alice, first_name="Анна", phone=79991234567)
    assert "Russia" not in text_of(site.get(LIST))
    factories.contact(alice, first_name="Алия", phone=77011234567)
    shown = text_of(site.get(LIST))
    assert "Russia" in shown
    assert "Kazakhstan" in shown
    shown = text_of(site.get(LIST, {"country": "KZ"}))
    assert [name for name in ("Анна", "Алия") if name in shown] == ["Алия"]


def test_live_search_gets_the_list_and_a_clean_url(site: Client, alice: User) -> None:
    factories.contact(alice, first_name="Anna", tags=("vip",))
    response = site.get(LIST, {"q": "an", "tag": "vip", "timezone": "", "state": ""}, headers=HTMX)
    assert text_of(response).lstrip().startswith('<div class="stack" id="found">')
    assert "Anna" in text_of(response)
    assert response.headers["HX-Replace-Url"] == "/contacts/?q=an&tag=vip"
    assert "HX-Request" in response.headers["Vary"]
    assert site.get(LIST, {"q": ""}, headers=HTMX).headers["HX-Replace-Url"] == LIST


def test_pages_of_the_list_keep_the_filter(site: Client, alice: User) -> None:
    rows = [factories.contact(alice, first_name="Anna", tags=("vip",)) for _ in range(60)]
    first = site.get(LIST, {"tag": "vip"})
    cursor = first.context["page"].next
    assert f"?tag=vip&amp;cursor={quote(cursor)}" in text_of(first)
    second = site.get(LIST, {"tag": "vip", "cursor": cursor})
    shown = [*first.context["page"].items, *second.context["page"].items]
    assert shown == rows[::-1]


def test_queries_of_the_list_are_constant(site: Client, alice: User) -> None:
    counts = []
    for _ in range(3):
        for _ in range(6):
            factories.contact(alice, tags=("a", "b", "c", "d", "e"))
        with CaptureQueriesContext(connection) as queries:
            site.get(LIST)
        counts.append(len(queries))
    assert counts[1] == counts[2] <= 13
    with CaptureQueriesContext(connection) as queries:
        site.get(LIST, headers=HTMX)
    assert len(queries) <= 7


@pytest.mark.parametrize(
    "name", ["q", "tag", "operator_code", "country", "timezone", "state", "owner", "added_from", "sort", "cursor"]
)
def test_any_filter_value_is_handled(site: Client, alice: User, name: str) -> None:
    factories.contact(alice)
    for value in ["\0", "a\0b", "x" * 3000, "9" * 5000, "-1", str(2**63), "(", "\\", "[", "%", "<b>", "☃", "\udcff"]:
        assert site.get(LIST, {name: value.encode(errors="replace")}).status_code == 200, value


def test_any_date_is_handled(site: Client, alice: User) -> None:
    factories.contact(alice)
    for day in ("0001-01-01", "9999-12-31"):
        for name in ("added_from", "added_to"):
            assert site.get(LIST, {name: day}).status_code == 200, (name, day)
            assert site.get(f"{LIST}export.csv", {name: day}).status_code == 400, (name, day)


def test_a_contact_is_added_by_the_form(site: Client, alice: User) -> None:
    response = site.post(
        NEW,
        {
            "phone": "8 (999) 123-45-67",
            "first_name": " Анна ",
            "last_name": "Ким",
            "tags": "VIP, new,, ",
            "timezone": "Asia/Omsk",
            "attributes": "city: Омск\n\n url: http://x\n",
            "opted_out": "on",
        },
    )
    contact = Contact.objects.get()
    assert response.headers["Location"] == address(contact)
    assert (contact.phone, contact.full_name, contact.timezone) == (79991234567, "Анна Ким", "Asia/Omsk")
    assert [tag.name for tag in contact.tags.all()] == ["new", "vip"]
    assert contact.attributes == {"city": "Омск", "url": "http://x"}
    assert contact.opted_out
    assert contact.owner == alice
    assert "Анна Ким added." in text_of(site.get(address(contact)))


def test_form_shows_field_errors_and_keeps_input(site: Client) -> None:
    response = site.post(
        NEW, {"phone": "123", "first_name": "<b>", "tags": "x" * 51, "timezone": "Mars", "attributes": "two words: 1"}
    )
    assert set(response.context["form"].errors) == {"phone", "first_name", "tags", "timezone", "attributes"}
    assert 'value="123"' in text_of(response)
    assert "&lt;b&gt;" in text_of(response)
    assert "<b>" not in text_of(response)
    assert not Contact.objects.exists()


@pytest.mark.parametrize("lines", ["no colon", "a: 1\na: 2", ": 1", "phone: 1"])
def test_invalid_attributes_are_reported(site: Client, lines: str) -> None:
    response = site.post(NEW, {"phone": "+79991234567", "attributes": lines})
    assert set(response.context["form"].errors) == {"attributes"}


def test_duplicate_phone_shows_a_link_to_the_contact(site: Client, bob: User) -> None:
    twin = factories.contact(bob, phone=79991234567, first_name="Boris")
    response = site.post(NEW, {"phone": "+7 999 123-45-67"})
    assert set(response.context["form"].errors) == {"phone"}
    assert f'<a href="{address(twin)}">Boris</a>' in text_of(response)


def test_edit_keeps_unchanged_fields(site: Client, alice: User) -> None:
    attributes = {"points": 12, "gold": True, "city": "Omsk", "note": "two\nlines"}
    contact = factories.contact(
        alice, first_name="Anna", tags=("vip", "new"), attributes=attributes, timezone="W-SU", phone=79991234567
    )
    shown = site.get(address(contact, "contact_edit")).context["form"].initial
    response = site.post(
        address(contact, "contact_edit"),
        {**shown, "last_name": "Kim", "opted_out": "", "timezone": shown["timezone"]},
    )
    assert response.headers["Location"] == address(contact)
    contact.refresh_from_db()
    assert contact.full_name == "Anna Kim"
    assert contact.attributes == attributes
    assert contact.timezone == "W-SU"
    assert [tag.name for tag in contact.tags.all()] == ["new", "vip"]


def test_contact_page_shows_its_fields(site: Client, alice: User) -> None:
    contact = factories.contact(
        alice, phone=79991234567, first_name="Anna", tags=("vip",), timezone="Asia/Omsk", attributes={"gold": True}
    )
    shown = text_of(site.get(address(contact)))
    for fact in ("+7 999 123-45-67", "999", "Omsk", "vip", "gold", "true", "Alice", "Edit", "Deactivate"):
        assert fact in shown


def test_other_users_see_a_contact_but_cannot_change_it(site: Client, bob: User) -> None:
    contact = factories.contact(bob, first_name="Anna")
    shown = text_of(site.get(address(contact)))
    assert "Anna" in shown
    assert address(contact, "contact_edit") not in shown
    assert address(contact, "contact_deactivate") not in shown
    assert site.get(address(contact, "contact_edit")).status_code == 403
    for name in ("contact_edit", "contact_deactivate", "contact_reactivate"):
        assert site.post(address(contact, name), {"phone": "+79991234567"}).status_code == 403
    contact.refresh_from_db()
    assert contact.is_active
    assert contact.phone != 79991234567


def test_an_administrator_changes_every_contact(client: Client, admin: User, bob: User) -> None:
    contact = factories.contact(bob, first_name="Anna")
    client.force_login(admin)
    assert address(contact, "contact_edit") in text_of(client.get(address(contact)))
    client.post(address(contact, "contact_deactivate"))
    contact.refresh_from_db()
    assert not contact.is_active


def test_contact_is_deactivated_and_reactivated_by_post_only(site: Client, alice: User) -> None:
    contact = factories.contact(alice)
    assert site.get(address(contact, "contact_deactivate")).status_code == 405
    assert site.get(address(contact, "contact_reactivate")).status_code == 405
    site.post(address(contact, "contact_deactivate"))
    assert "Reactivate" in text_of(site.get(address(contact)))
    site.post(address(contact, "contact_reactivate"))
    contact.refresh_from_db()
    assert contact.is_active


@pytest.mark.parametrize("pk", ["0", str(2**63), "9" * 5000, "x", "-1"])
def test_missing_contact_is_not_found(site: Client, pk: str) -> None:
    for rest in ("", "edit/"):
        assert site.get(f"/contacts/{pk}/{rest}").status_code == 404
    assert site.post(f"/contacts/{pk}/deactivate/").status_code == 404


@pytest.mark.parametrize("name", ["phone", "first_name", "tags", "timezone", "attributes", "opted_out"])
def test_any_form_value_is_handled(site: Client, name: str) -> None:
    for value in [
        "\0",
        "\0: \0",
        "x" * 100_000,
        "9" * 5000,
        "a: " + "9" * 5000,
        ",",
        "☃: ☃",
        "<script>",
        b"\xff",
        b"\xed\xa0\x80",
    ]:
        assert site.post(NEW, {"phone": "+79991234567", name: value}).status_code in {200, 302}, value
        Contact.objects.all().delete()


def test_a_printed_list_says_that_more_rows_exist(alice: User) -> None:
    for _ in range(51):
        factories.contact(alice)
    assert "Only 50 rows of a longer list are printed." in browser(alice).get("/contacts/").content.decode()
    assert "of a longer list" not in browser(alice).get("/contacts/?q=nobody-is-called-so").content.decode()


def test_every_field_of_the_form_is_on_the_page(alice: User) -> None:
    person = factories.contact(alice)
    for path in ("/contacts/new/", f"/contacts/{person.pk}/edit/"):
        answer: Any = browser(alice).get(path)
        page = answer.content.decode()
        assert [each.name for each in answer.context["form"] if f'name="{each.html_name}"' not in page] == []


def test_every_filter_narrows(alice: User) -> None:
    given = {
        "q": "x",
        "tag": "x",
        "operator_code": "x",
        "country": "x",
        "timezone": "x",
        "owner": "7",
        "state": "opted_out",
    }
    given |= {"added_from": "2026-01-02", "added_to": "2026-01-02"}
    assert set(FilterForm.base_fields) - {"sort", "cursor"} == set(given)
    nothing = FilterForm(QueryDict("")).filters()
    for name, value in given.items():
        assert FilterForm(QueryDict(f"{name}={value}")).filters() != nothing, name
