"""Two people or tabs edit the same row: forms and API report the first change to the second."""

import re
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from accounts.optimistic_locking import version_of
from campaigns.models import Campaign, Gateway
from directory.audiences.audience import Audience
from directory.models import Contact, SavedAudience, Tag
from tests import factories
from tests.campaigns.browser_client import browser, composed
from tests.conftest import ApiClient

CONFLICT = "This was changed after you opened the page"


def opened(client: Client, address: str) -> str:
    """The version in the form of that page."""
    found = re.search(r'name="version" value="([^"]+)"', client.get(address).content.decode())
    assert found, address
    return found[1]


def save(client: Client, address: str, **fields: Any) -> str:
    return client.post(address, fields, follow=True).content.decode()


def test_a_second_tab_does_not_restore_a_campaigns_old_text(alice: User) -> None:
    campaign = factories.campaign(alice, text="Old text", draft=True)
    client, address = browser(alice), f"/campaigns/{campaign.pk}/edit/"
    second = opened(client, address)
    save(client, address, **composed(text="Correct price", action="draft", version=opened(client, address)))

    shown = save(client, address, **composed(text="Old text", name="My name", action="draft", version=second))
    assert Campaign.objects.get().text == "Correct price"
    assert f"{CONFLICT}, by Alice" in shown
    assert "Correct price" in shown
    assert 'value="My name"' in shown
    assert ">\nOld text<" in shown

    current = re.search(r'name="version" value="([^"]+)"', shown)
    assert current
    save(client, address, **composed(text="Old text", action="draft", version=current[1]))
    assert Campaign.objects.get().text == "Old text"


def test_an_error_of_another_field_does_not_renew_the_version(alice: User) -> None:
    campaign = factories.campaign(alice, text="Old text", draft=True)
    client, address = browser(alice), f"/campaigns/{campaign.pk}/edit/"
    second = opened(client, address)
    Campaign.objects.update(text="Other")
    shown = client.post(address, composed(name="", action="draft", version=second)).content.decode()
    assert f'name="version" value="{second}"' in shown


def test_a_draft_that_was_launched_meanwhile_is_not_edited_as_a_draft(alice: User) -> None:
    campaign = factories.campaign(alice, draft=True)
    client, address = browser(alice), f"/campaigns/{campaign.pk}/edit/"
    second = opened(client, address)
    client.post(f"/campaigns/{campaign.pk}/launch/")
    assert CONFLICT in save(client, address, **composed(text="Half a", action="draft", version=second))


def test_automatic_changes_cause_no_conflict(alice: User) -> None:
    campaign = factories.campaign(alice)
    before = version_of(campaign)
    Campaign.objects.update(status="running")
    assert version_of(Campaign.objects.get()) == before


def test_conflict_on_a_contact_shows_who_changed_what(alice: User, admin: User) -> None:
    contact = factories.contact(alice, first_name="Anna", phone=79161234567, tags=("vip",))
    client, address = browser(alice), f"/contacts/{contact.pk}/edit/"
    version = opened(client, address)
    fields = {"phone": "79161234567", "first_name": "Anna", "tags": "vip", "timezone": contact.timezone}
    save(browser(admin), address, **{**fields, "tags": "vip, staff"}, version=opened(browser(admin), address))
    shown = save(client, address, **{**fields, "last_name": "Smith"}, version=version)
    assert f"{CONFLICT}, by admin@example.org" in shown
    assert "staff" in shown
    assert 'value="Smith"' in shown
    assert list(Contact.objects.get().tags.values_list("name", flat=True)) == ["staff", "vip"]


def test_versions_of_audience_gateway_and_profile_are_checked(alice: User, admin: User) -> None:
    saved = SavedAudience.objects.create(owner=alice, name="Regulars", audience=Audience().to_json())
    gateway = Gateway.objects.create(name="second", kind="probe", url="https://gateway.example.org/v1")
    tag = Tag.objects.create(name="vip")
    client = browser(admin)
    profile = {"first_name": "A", "last_name": "B", "timezone": "Europe/Moscow", "language": "en"}
    reached = {"kind": "probe", "url": "https://gateway.example.org/v1", "active": "on"}
    pages: list[tuple[str, dict[str, str], dict[str, str]]] = [
        (f"/contacts/audiences/{saved.pk}/", {"name": "Regulars", "tags_match": "any"}, {"name": "Others"}),
        (f"/gateways/{gateway.pk}/", reached, {"concurrency": "7"}),
        (f"/contacts/tags/{tag.pk}/", {"name": "vip", "tone": ""}, {"tone": "good"}),
        ("/account/", profile, {"timezone": "Asia/Omsk"}),
    ]
    for address, fields, change in pages:
        version = opened(client, address)
        assert CONFLICT not in save(client, address, **{**fields, **change}, version=version), address
        assert CONFLICT in save(client, address, **fields, version=version), address
    saved.refresh_from_db()
    gateway.refresh_from_db()
    admin.refresh_from_db()
    assert (saved.name, gateway.concurrency, admin.timezone) == ("Others", 7, "Asia/Omsk")


@pytest.mark.parametrize("kind", ["campaigns", "contacts"])
def test_api_checks_a_given_version(alice: User, kind: str) -> None:
    row = factories.campaign(alice, draft=True) if kind == "campaigns" else factories.contact(alice)
    field = "name" if kind == "campaigns" else "first_name"
    api, address = ApiClient(alice), f"/{kind}/{row.pk}"

    def patch(headers: Any = None, **body: str) -> Any:
        return api.patch(address, body, content_type="application/json", headers=headers)

    answer = api.get(address)
    tag, version = answer.headers["ETag"], answer.json()["version"]
    assert tag == f'"{version}"'
    changed = patch(**{field: "Anna", "version": version})
    assert changed.status_code == 200
    assert changed.headers["ETag"] == f'"{changed.json()["version"]}"' == api.get(address).headers["ETag"] != tag

    refused = patch(**{field: "Boris", "version": version})
    assert refused.status_code == 409
    assert CONFLICT in refused.json()["detail"]
    assert patch({"If-Match": tag}, **{field: "Boris"}).status_code == 412
    assert patch({"If-Match": f"W/{changed.headers['ETag']}"}, **{field: "Boris"}).status_code == 412
    assert patch({"If-Match": f"{tag}, {changed.headers['ETag']}"}, **{field: "Boris"}).status_code == 200
    assert patch({"If-Match": "*"}, **{field: "Clara"}).status_code == 200
    assert patch(**{field: "Dora"}).status_code == 200


def test_the_versions_of_a_list_are_those_of_its_rows(alice: User) -> None:
    contact = factories.contact(alice, tags=("b", "a"))
    api = ApiClient(alice)
    assert api.get("/contacts").json()["items"][0]["version"] == api.get(f"/contacts/{contact.pk}").json()["version"]
