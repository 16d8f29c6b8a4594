"""Unsaved input of the composer is kept until it is saved or discarded."""

from datetime import timedelta

import time_machine
from django.utils.timezone import now

from accounts.models import User
from accounts.profile.data_export import personal_data
from campaigns.models import Campaign, Unsaved
from directory.contacts.erasure import contact_erase
from tests import factories
from tests.campaigns.browser_client import NEW, PREVIEW, browser, composed, htmx


def test_unsaved_input_is_restored_until_it_is_saved(alice: User, bob: User) -> None:
    client = browser(alice)
    typed = composed(name="", text="Half {first_na", tags_match="all")
    client.post(PREVIEW, typed, headers=htmx("preview"))
    shown = client.get(NEW)
    assert shown.status_code == 200
    page = shown.content.decode()
    assert "Half {first_na" in page
    assert "This is unsaved input" in page
    assert "This field is required" not in page
    assert "Half {first_na" not in browser(bob).get(NEW).content.decode()

    client.post(NEW, composed(name="Done", text="Whole", action="draft"))
    assert Campaign.objects.get().text == "Whole"
    assert not Unsaved.objects.exists()


def test_unsaved_input_is_per_campaign_and_keeps_its_version(alice: User) -> None:
    campaign = factories.campaign(alice, text="Old", draft=True)
    client, address = browser(alice), f"/campaigns/{campaign.pk}/"
    client.post(f"{address}preview/", composed(text="Typed", version="0123.5"), headers=htmx("preview"))
    page = client.get(f"{address}edit/").content.decode()
    assert "Typed" in page
    assert 'name="version" value="0123.5"' in page
    assert "Typed" not in client.get(NEW).content.decode()
    assert "Typed" not in client.get(address).content.decode()


def test_unsaved_input_can_be_discarded_and_expires_after_a_month(alice: User) -> None:
    client = browser(alice)
    client.post(PREVIEW, composed(text="Typed"), headers=htmx("preview"))
    assert client.post(NEW, composed(text="Typed", action="discard")).headers["Location"] == NEW
    assert "Typed" not in client.get(NEW).content.decode()
    assert not Campaign.objects.exists()

    client.post(PREVIEW, composed(text="Typed"), headers=htmx("preview"))
    with time_machine.travel(now() + timedelta(days=31)):
        assert "Typed" not in browser(alice).get(NEW).content.decode()


def test_a_saved_audience_starts_an_empty_composer(alice: User) -> None:
    client = browser(alice)
    client.post("/contacts/audiences/new/", {"name": "All", "tags_match": "any"})
    client.post(PREVIEW, composed(text="Typed"), headers=htmx("preview"))
    assert "Typed" not in client.get(f"{NEW}?audience=1").content.decode()


def test_daytime_hours_can_be_set_without_scripts(alice: User) -> None:
    shown = browser(alice).post(NEW, composed(text="Kept", action="daytime"))
    page = shown.content.decode()
    assert shown.status_code == 200
    assert 'name="window_start" value="09:00"' in page
    assert "Kept" in page
    assert not Campaign.objects.exists()


def test_unsaved_input_is_exported_and_erased(alice: User, admin: User) -> None:
    contact = factories.contact(alice, phone=79161234567)
    browser(alice).post(PREVIEW, composed(text="Call +7 (916) 123-45-67"), headers=htmx("preview"))
    assert "unsaved_campaigns" in personal_data(alice)
    contact_erase(contact=contact, by=admin)
    assert not Unsaved.objects.exists()
