import re

import pytest
from django.urls import reverse

from accounts.models import User
from reports.finding import PLACES
from tests import factories
from tests.campaigns.pages import browser, htmx


def found(user: User, asked: str, part: str = "palette-list") -> list[str]:
    """The addresses that the palette offers."""
    content = browser(user).get("/find/", {"q": asked}, headers=htmx(part)).content.decode()
    assert "<html" not in content
    return re.findall(r'href="([^"]+)"', content)


def test_pages_are_found_in_both_languages(alice: User) -> None:
    assert found(alice, "tags") == ["/contacts/tags/"]
    User.objects.filter(pk=alice.pk).update(language="ru")
    assert found(alice, "ТЕГ") == ["/contacts/tags/"]
    assert found(alice, "tags") == ["/contacts/tags/"]


def test_nothing_asked_shows_the_pages_that_one_may_open(alice: User, admin: User) -> None:
    assert "/campaigns/new/" in found(alice, "")
    assert "/users/" not in found(alice, "")
    assert "/users/" in found(admin, "")


def test_campaigns_and_contacts_are_found_by_name_and_phone(alice: User, bob: User, admin: User) -> None:
    campaign = factories.campaign(alice, name="Осенняя распродажа")
    contact = factories.contact(bob, phone="79161234567", first_name="Осень")
    mine, person = f"/campaigns/{campaign.pk}/", f"/contacts/{contact.pk}/"
    assert found(alice, "осен") == [mine, person]
    assert found(bob, "осен") == [person], "whose campaign it is, or an administrator, may open it"
    assert found(admin, "осен") == [mine, person]
    assert found(alice, "8 (916) 123-45") == [person]


@pytest.mark.parametrize("asked", ["\0", "%", "'", "x" * 5000, "no such thing"])
def test_whatever_is_asked_is_answered(alice: User, asked: str) -> None:
    assert isinstance(found(alice, asked), list)


def test_without_scripts_it_is_a_page_of_links(alice: User) -> None:
    content = browser(alice).get("/find/?q=tags").content.decode()
    assert 'href="/contacts/tags/"' in content
    assert 'role="option"' not in content


def test_the_keys_of_a_page_are_those_of_the_rail(admin: User) -> None:
    rail = dict(re.findall(r'href="([^"]+)"\s+data-keys="([^"]+)"', browser(admin).get("/").content.decode()))
    assert rail == {reverse(place.view): place.keys for place in PLACES if place.keys}
