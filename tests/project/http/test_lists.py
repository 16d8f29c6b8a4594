"""Lists on pages: search and order by URL, and pages that show every row once."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from accounts.models import User
from accounts.users import views as user_views
from accounts.webhooks import views as webhook_views
from accounts.webhooks.models import Webhook
from campaigns.pages import views
from directory.audiences import views as audience_views
from directory.audiences.audience import Audience
from directory.audiences.services import audience_save
from directory.imports import views as import_views
from directory.imports.models import Import, ImportStatus
from directory.models import Tag
from directory.suppression import views as suppression_views
from directory.suppression.services import suppress
from directory.tags import views as tag_views
from tests import factories
from tests.campaigns.browser_client import browser, htmx

# For each list its module, and its rows in each order.
LISTS: dict[str, tuple[Any, dict[str, list[str]]]] = {
    "/campaigns/": (
        views,
        {"": ["Zoe", "anna", "Boris"], "start": ["Zoe", "Boris", "anna"], "name": ["anna", "Boris", "Zoe"]},
    ),
    "/users/": (
        user_views,
        {
            "": ["Zoe", "anna", "Boris", "admin@example.org"],
            "name": ["admin@example.org", "anna", "Boris", "Zoe"],
            "seen": ["admin@example.org", "Boris", "Zoe", "anna"],
        },
    ),
    "/contacts/tags/": (tag_views, {"": ["anna", "boris", "zoe"], "contacts": ["boris", "zoe", "anna"]}),
    "/contacts/audiences/": (audience_views, {"": ["anna", "Boris", "Zoe"], "changed": ["Zoe", "anna", "Boris"]}),
    "/contacts/imports/": (import_views, {"": ["Zoe", "anna", "Boris"]}),
    "/contacts/suppression/": (
        suppression_views,
        {
            "": ["+7 900 000-00-02", "+7 900 000-00-01", "+7 900 000-00-03"],
            "phone": ["+7 900 000-00-01", "+7 900 000-00-02", "+7 900 000-00-03"],
        },
    ),
}
ORDERS = [(address, sort) for address, (_module, orders) in LISTS.items() for sort in orders]


@pytest.fixture
def site(admin: User) -> Client:
    """The administrator's client, with a few rows in each list."""
    for number, name in enumerate(("Boris", "anna", "Zoe")):
        factories.campaign(admin, name=name, starts_at=now() + timedelta(hours=(1, 0, 2)[number]))
        factories.user(first_name=name, last_login=now() - timedelta(days=1) if name == "Boris" else None)
        Tag.objects.create(name=name.lower())
        audience_save(by=admin, name=name, audience=Audience(tags=(name,)))
        Import.objects.create(owner=admin, name=name, status=ImportStatus.FINISHED)
        suppress([79000000000 + (3, 1, 2)[number]], by=factories.user())
    User.objects.filter(first_name="").exclude(pk=admin.pk).update(is_active=False)
    factories.contact(admin, tags=("boris",))
    return browser(admin)


def walked(site: Client, address: str, **query: str) -> list[str]:
    """The contents of all pages, in order."""
    names, cursor = list[str](), ""
    while True:
        page = site.get(address, {**query, "cursor": cursor}).context["page"]
        names += map(str, page.items)
        if page.next is None:
            return names
        cursor = page.next


@pytest.mark.parametrize(("address", "sort"), ORDERS)
def test_the_pages_of_each_order_hold_every_row_once(
    site: Client, monkeypatch: pytest.MonkeyPatch, address: str, sort: str
) -> None:
    module, orders = LISTS[address]
    monkeypatch.setattr(module, "_PAGE_SIZE", 1)
    assert walked(site, address, sort=sort, state="active") == orders[sort]


@pytest.mark.parametrize("address", [address for address in LISTS if "suppression" not in address])
def test_search_ignores_case(site: Client, address: str) -> None:
    assert [name.lower() for name in walked(site, address, q="BORIS")] == ["boris"]
    assert 'href="?"' in site.get(address, {"q": "nobody"}).content.decode().split('id="found"')[1]


@pytest.mark.parametrize("address", LISTS)
def test_live_search_gets_the_list_and_its_url(site: Client, address: str) -> None:
    answer = site.get(address, {"q": "zoe", "sort": ""}, headers=htmx("found"))
    assert "<html" not in answer.content.decode()
    assert answer["HX-Replace-Url"] == f"{address}?q=zoe"
    assert "HX-Request" in answer["Vary"]


@pytest.mark.parametrize("address", LISTS)
@pytest.mark.parametrize("query", ["cursor=x", "cursor=[1,2,3]", "cursor=%00", "q=%00", "sort=nope", "state=nope"])
def test_invalid_parameters_do_not_narrow(site: Client, address: str, query: str) -> None:
    assert list(map(str, site.get(f"{address}?{query}").context["page"].items))[:2] == walked(site, address)[:2]


@pytest.mark.parametrize("address", LISTS)
def test_queries_of_a_list_are_constant(site: Client, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    numbers = []
    site.get(address)
    for rows in (1, 3):
        monkeypatch.setattr(LISTS[address][0], "_PAGE_SIZE", rows)
        with CaptureQueriesContext(connection) as queries:
            site.get(address)
        numbers.append(len(queries))
    assert numbers[0] == numbers[1]


def test_deliveries_are_found_by_state_and_id(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_views, "_PAGE_SIZE", 1)
    hook = Webhook.objects.create(owner=alice, url="https://8.8.8.8/", events=["message.sent"])
    sent, waits = (
        hook.deliveries.create(events=[], number=0, uid=f"msg_{status}", status=status)
        for status in ("delivered", "pending")
    )
    address = f"/account/webhooks/{hook.pk}/"
    assert walked(browser(alice), address) == [str(waits), str(sent)]
    assert walked(browser(alice), address, status="delivered") == [str(sent)]
    assert walked(browser(alice), address, q="PENDING") == [str(waits)]
