import re

import pytest
from django.urls import reverse

from accounts.models import User
from reports.command_palette import PAGES
from tests import factories
from tests.campaigns.browser_client import browser, htmx


def found(user: User, query: str, part: str = "palette-list") -> list[str]:
    """The addresses in the palette's results."""
    content = browser(user).get("/find/", {"q": query}, headers=htmx(part)).content.decode()
    assert "<html" not in content
    return re.findall(r'href="([^"]+)"', content)


def test_pages_are_found_in_both_languages(alice: User) -> None:
    assert found(alice, "tags") == ["/contacts/tags/"]
    User.objects.filter(pk=alice.pk).update(language="ru")
    assert found(alice, "ТЕГ") == ["/contacts/tags/"]
    assert found(alice, "tags") == ["/contacts/tags/"]


def test_an_empty_query_shows_the_pages_that_the_user_may_open(alice: User, admin: User) -> None:
    assert "/campaigns/new/" in found(alice, "")
    assert "/users/" not in found(alice, "")
    assert "/users/" in found(admin, "")


def test_campaigns_and_contacts_are_found_by_name_and_phone(alice: User, bob: User, admin: User) -> None:
    campaign = factories.campaign(alice, name="Осенняя распродажа")
    contact = factories.contact(bob, phone=79161234567, first_name="Осень")
    campaign_page, contact_page = f"/campaigns/{campaign.pk}/", f"/contacts/{contact.pk}/"
    assert found(alice, "осен") == [campaign_page, contact_page]
    assert found(bob, "осен") == [contact_page], "whose campaign it is, or an administrator, may open it"
    assert found(admin, "осен") == [campaign_page, contact_page]
    assert found(alice, "8 (916) 123-45") == [contact_page]


@pytest.mark.parametrize("query", ["\0", "%", "'", "x" * 5000, "no such thing"])
def test_every_query_is_answered(alice: User, query: str) -> None:
    assert isinstance(found(alice, query), list)


def test_without_scripts_it_is_a_page_of_links(alice: User) -> None:
    content = browser(alice).get("/find/?q=tags").content.decode()
    assert 'href="/contacts/tags/"' in content
    assert 'role="option"' not in content


def test_shortcuts_are_those_of_the_navigation(admin: User) -> None:
    rail = dict(re.findall(r'href="([^"]+)"\s+data-keys="([^"]+)"', browser(admin).get("/").content.decode()))
    assert rail == {reverse(place.view): place.keys for place in PAGES if place.keys}
